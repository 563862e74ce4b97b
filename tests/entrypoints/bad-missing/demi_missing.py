"""Half of it: the other half is in demi_missing_core, which nobody installs."""
