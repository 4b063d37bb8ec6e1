"""What runs in one elected process: Neutron's state to the controller, and the controller's state back."""
