//! Runs a capture through the pipeline, on one thread or several.
