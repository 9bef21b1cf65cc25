"""The Files API: one function per operation, over `AsyncTransport`."""

from .._operation import Operation
from ..models import FileDeleteResponse, FileMetadata, FilePage

LIST_FILES = Operation("GET", "/files", FilePage)
UPLOAD_FILE = Operation("POST", "/files", FileMetadata, transfer=True)
DELETE_FILE = Operation("DELETE", "/files/{file_id}", FileDeleteResponse)
RETRIEVE_FILE = Operation("GET", "/files/{file_id}", FileMetadata)
DOWNLOAD_FILE = Operation("GET", "/files/{file_id}/content", bytes, transfer=True)
