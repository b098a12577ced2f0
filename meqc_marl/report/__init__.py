"""What people see: tables, pictures and progress."""
