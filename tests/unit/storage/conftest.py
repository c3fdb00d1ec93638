from storage_fixtures import (  # noqa: F401 - fixtures
    cache_folder,
    gcs,
    gcs_server,
    impatient,
    web,
)
