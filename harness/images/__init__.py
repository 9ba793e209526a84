"""Images, from the published files to batches on the device."""
