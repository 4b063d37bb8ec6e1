"""Run by `neutron-db-manage`: our tables are a branch of their own, with a version table of its own."""

from alembic import context
from neutron_lib.db import model_base

from neutron.db.migration.connection import DBConnection

from networking_dragonflow.db import models  # noqa: F401

VERSION_TABLE = 'alembic_version_dragonflow'

config = context.config
neutron_config = config.neutron_config


def _is_ours(_object, name, kind, _reflected, _compare_to):
    return kind != 'table' or name.startswith('dragonflow_')


def _configure(**where):
    context.configure(target_metadata=model_base.BASEV2.metadata, include_object=_is_ours,
                      version_table=VERSION_TABLE, **where)
    with context.begin_transaction():
        context.run_migrations()


if context.is_offline_mode():
    database = neutron_config.database
    _configure(**({'url': database.connection} if database.connection else {'dialect_name': database.engine}))
else:
    with DBConnection(neutron_config.database.connection, config.attributes.get('connection')) as connection:
        _configure(connection=connection)
