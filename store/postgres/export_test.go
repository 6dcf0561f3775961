package postgres

const MigrationLock = migrationLock
