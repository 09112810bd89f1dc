"""What brands agree on: terms, rates derived and checked, taxes."""
