"""A Ray cluster seen from outside: jobs, and the reports that they leave."""
