from data_fixtures import encode, example, real_shards  # noqa: F401 - fixtures
