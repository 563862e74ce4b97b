//! Family of the fault table.
