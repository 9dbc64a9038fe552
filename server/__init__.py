"""The render server: sessions, jobs and frames over gRPC, and the command line."""
