"""What is written about options is what they are."""

import pathlib
import unittest

from networking_dragonflow.cmd import reference

DOCUMENT = pathlib.Path(__file__).parents[4] / 'docs' / 'neutron-configuration.md'


class ReferenceTest(unittest.TestCase):

    def test_the_committed_reference_is_current(self):
        self.assertEqual(DOCUMENT.read_text(), reference.text(),
                         'run python -m networking_dragonflow.cmd.reference > docs/neutron-configuration.md')
