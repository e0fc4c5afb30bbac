"""The recorded program: views, storages, instruction records, allocation."""
