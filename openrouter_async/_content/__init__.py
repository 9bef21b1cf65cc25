"""Files: what can be uploaded, the bodies that carry it, and where downloads are written."""
