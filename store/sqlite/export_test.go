package sqlite

import "database/sql"

func (s *Store) Writer() *sql.DB { return s.writer }

func (s *Store) Readers() *sql.DB { return s.readers }

const SelectOperations = selectOperations
