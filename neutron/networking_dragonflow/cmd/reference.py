"""Prints the reference of all options, made from the options: docs/neutron-configuration.md."""

from networking_dragonflow import conf

HEAD = f'''# Neutron add-on: options

Section `[{conf.GROUP}]` of a file that both the API and `neutron-periodic-workers` read, as `ml2_conf.ini`. Made by
`python -m networking_dragonflow.cmd.reference`; a test holds it to the code.
'''


def text():
    parts = [HEAD]
    for opt in sorted(conf.OPTS, key=lambda opt: opt.name):
        default = '""' if opt.default == '' else opt.default
        kind = opt.type.type_name
        least = getattr(opt.type, 'min', None)
        limits = f', at least {least}' if least is not None else ''
        parts.append(f'## {opt.name}\n\n{kind}{limits}, default `{default}`\n\n{opt.help}\n')
    return '\n'.join(parts)


if __name__ == '__main__':
    print(text(), end='')
