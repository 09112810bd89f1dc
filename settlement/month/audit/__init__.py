"""What an auditor needs of a time, as a folder of files."""
