"""What a settlement day produces, as files: one module for each output, values in, bytes out."""
