"""Fine-tuning a PLM with each of several tables: on the tasks of GLUE, or on summaries; same seeds, same settings."""
