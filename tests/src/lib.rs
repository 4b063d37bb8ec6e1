//! The lab: hosts made of network namespaces, each with its own Open vSwitch.
