"""The joint optimum of devices that share: what each place is worth, who goes where, and which counts are best."""
