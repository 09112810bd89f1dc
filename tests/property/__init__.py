"""The laws, held by generated histories."""
