"""What people do about breaks."""
