"""What a window holds for one partner, line by line: read from its stream, summed up, written."""
