from storage_fixtures import (  # noqa: F401 - fixtures
    cache_folder,
    fast_retry,
    gcs,
    gcs_server,
    web,
)
