"""Pure decisions: the same values in, the same decision out; no clock, no dice."""
