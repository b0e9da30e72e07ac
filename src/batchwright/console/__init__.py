"""What is seen of Batchwright over HTTP: `api` for programs, on the operations that the command line has, too."""
