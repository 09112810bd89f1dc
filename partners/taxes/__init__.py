"""The rates of taxes by date."""
