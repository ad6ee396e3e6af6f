"""How fast Lightbox is on this machine: `make bench`. Nothing in the product imports this."""
