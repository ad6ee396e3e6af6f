"""One module for each kind of file. They run only inside the disposable child of `inference.decode`."""
