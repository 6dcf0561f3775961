package postgres

const MigrationLock = migrationLock

const SelectOperations = selectOperations
