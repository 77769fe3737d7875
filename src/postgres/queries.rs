//! The queries that read PostgreSQL's catalog.

/// The columns of the table `c`, as JSON; `$sequence` is what the value of column `a` is drawn from.
macro_rules! columns {
    ($sequence:literal) => {
        concat!(
            "ARRAY(
                SELECT json_build_object(
                    'name', a.attname,
                    'sql_type', format_type(a.atttypid, a.atttypmod),
                    'type', a.atttypid::int8,
                    'typmod', a.atttypmod,
                    'dimensions', a.attndims,
                    'is_not_null', a.attnotnull,
                    'is_generated', a.attgenerated <> '',
                    'identity', a.attidentity,
                    'has_default', a.atthasdef,
                    'sequence', ",
            $sequence,
            ",
                    'collation', CASE
                        WHEN a.attcollation = 0 THEN ''
                        WHEN NOT l.collisdeterministic THEN 'nondeterministic'
                        WHEN l.collname IN ('C', 'POSIX', 'ucs_basic') THEN 'bytes'
                        -- The column is there from PostgreSQL 15 on.
                        WHEN l.collname = 'default' AND d.datcollate IN ('C', 'POSIX')
                            AND coalesce(to_jsonb(d) ->> 'datlocprovider', 'c') = 'c' THEN 'bytes'
                        ELSE 'deterministic'
                    END,
                    'collate', coalesce(' COLLATE ' || quote_ident(m.nspname) || '.' || quote_ident(l.collname), '')
                )
                FROM pg_attribute a
                    LEFT JOIN pg_collation l ON l.oid = a.attcollation
                    LEFT JOIN pg_namespace m ON m.oid = l.collnamespace AND l.collname <> 'default'
                    JOIN pg_database d ON d.datname = current_database()
                WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                ORDER BY a.attnum
            )"
        )
    };
}

/// The version of the table `c`: see [`version`](super::version).
macro_rules! version {
    () => {
        "concat_ws('/', c.oid, c.xmin, row_security_active(c.oid), (
                SELECT string_agg(concat(a.attnum, ':', a.xmin), ',' ORDER BY a.attnum)
                FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0
            ), (
                SELECT string_agg(concat(i.indexrelid, ':', i.xmin), ',' ORDER BY i.indexrelid)
                FROM pg_index i WHERE i.indrelid = c.oid
            ))"
    };
}

/// The types that `$used` selects, and those that they consist of, as JSON.
macro_rules! types {
    ($used:literal) => {
        concat!(
            "ARRAY(
                WITH RECURSIVE used (oid) AS (
                    ",
            $used,
            "
                    UNION
                    SELECT below
                    FROM used, LATERAL (SELECT * FROM pg_type t WHERE t.oid = used.oid LIMIT 1) t,
                        unnest(ARRAY[t.typbasetype, t.typelem] || ARRAY(
                            SELECT a.atttypid FROM pg_attribute a
                            WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
                        )) below
                    WHERE below <> 0
                )
                SELECT json_build_object(
                    'oid', t.oid::int8,
                    'name', t.typname,
                    'kind', t.typtype,
                    'is_array', t.typcategory = 'A' AND t.typelem <> 0 AND t.typlen = -1
                        AND t.typname NOT IN ('int2vector', 'oidvector'),
                    'item', t.typelem::int8,
                    'base', t.typbasetype::int8,
                    'base_typmod', t.typtypmod,
                    'base_dimensions', t.typndims,
                    'fields', ARRAY(
                        SELECT json_build_object(
                            'name', a.attname, 'type', a.atttypid::int8, 'typmod', a.atttypmod,
                            'dimensions', a.attndims)
                        FROM pg_attribute a
                        WHERE t.typtype = 'c' AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
                        ORDER BY a.attnum
                    ),
                    'is_not_null', t.typnotnull,
                    'is_known_by_name', s.nspname = 'pg_catalog' OR t.typname IN ('citext', 'hstore'),
                    'without_typmod', format_type(t.oid, -1)
                )
                -- The few rows are looked up by the index: the server expects thousands. With DISTINCT it expects 200; the cost
                -- of more would let it compile the query, which takes a hundred times as long as to run it.
                FROM (SELECT DISTINCT oid FROM used) used, LATERAL (SELECT * FROM pg_type t WHERE t.oid = used.oid LIMIT 1) t
                    JOIN pg_namespace s ON s.oid = t.typnamespace
            )"
        )
    };
}

/// The description of a table by its name, as JSON, in one round trip and one snapshot. Without a schema, the first table
/// of that name in the search path. `types` are the types of its columns and the types that they consist of. `keys` are
/// the unique indexes that ON CONFLICT can use: not partial, not on expressions, not deferrable.
pub(super) const TABLE: &str = concat!(
    "
    SELECT row_to_json(found)::text FROM (
        SELECT n.nspname AS schema, c.relname AS name, c.relkind AS kind,
            row_security_active(c.oid) AS has_row_security,
            c.relhasrules AND c.relkind <> 'v' AS has_rules,
            EXISTS (
                WITH RECURSIVE below (oid) AS (
                    SELECT c.oid UNION SELECT i.inhrelid FROM below JOIN pg_inherits i ON i.inhparent = below.oid
                )
                SELECT FROM below JOIN pg_trigger g ON g.tgrelid = below.oid
                WHERE NOT g.tgisinternal AND g.tgtype & 8 <> 0
            ) AS watches_delete,
            EXISTS (
                SELECT FROM pg_partition_tree(c.oid) p JOIN pg_trigger g ON g.tgrelid = p.relid
                WHERE NOT g.tgisinternal
            ) OR EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = c.oid AND NOT g.tgisinternal) AS has_triggers,
            EXISTS (
                SELECT FROM pg_constraint f WHERE f.contype = 'f' AND f.conrelid = c.oid AND f.confrelid = c.oid
            ) AS refers_to_itself,
            EXISTS (
                SELECT FROM pg_index i WHERE i.indrelid = c.oid AND (i.indisunique OR i.indisexclusion) AND (
                    i.indisexclusion OR NOT i.indimmediate OR i.indpred IS NOT NULL OR i.indexprs IS NOT NULL)
            ) AS has_other_keys,
            ARRAY(
                SELECT json_build_object('name', x.relname, 'why', CASE
                    WHEN NOT i.indisvalid THEN 'invalid' WHEN NOT i.indimmediate THEN 'deferrable'
                    WHEN i.indpred IS NOT NULL THEN 'partial' ELSE 'expression' END)
                FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
                WHERE i.indrelid = c.oid AND i.indisunique
                    AND NOT (i.indisvalid AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL)
                ORDER BY i.indexrelid
            ) AS other_indexes,
            getdatabaseencoding() AS encoding,
            ",
    version!(),
    " AS version,
",
    columns!(
        "
                    -- An identity's depends on its column, the default of a column on what it draws from.
                    CASE WHEN a.attidentity <> '' OR a.atthasdef AND a.attgenerated = '' THEN (
                        SELECT json_build_object(
                            'name', quote_ident(v.nspname) || '.' || quote_ident(r.relname),
                            'descends', q.seqincrement < 0)
                        FROM (
                            SELECT u.objid AS oid FROM pg_depend u
                            WHERE u.refclassid = 'pg_class'::regclass AND u.refobjid = a.attrelid
                                AND u.refobjsubid = a.attnum AND u.classid = 'pg_class'::regclass AND u.deptype = 'i'
                            UNION ALL
                            SELECT u.refobjid FROM pg_attrdef e JOIN pg_depend u ON u.objid = e.oid
                            WHERE e.adrelid = a.attrelid AND e.adnum = a.attnum
                                AND u.classid = 'pg_attrdef'::regclass AND u.refclassid = 'pg_class'::regclass
                        ) o, LATERAL (SELECT * FROM pg_sequence q WHERE q.seqrelid = o.oid LIMIT 1) q
                            JOIN pg_class r ON r.oid = q.seqrelid JOIN pg_namespace v ON v.oid = r.relnamespace
                        LIMIT 1) END"
    ),
    " AS columns,
            ",
    types!("SELECT atttypid FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped"),
    " AS types,
            ARRAY(
                SELECT json_build_object(
                    'is_primary', i.indisprimary,
                    'columns', ARRAY(
                        SELECT a.attname FROM generate_series(0, i.indnkeyatts - 1) position
                            JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[position]
                        ORDER BY position
                    ),
                    'folded', ARRAY(
                        SELECT a.attname FROM generate_series(0, i.indnkeyatts - 1) position
                            JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[position]
                        WHERE i.indcollation[position] <> a.attcollation
                    )
                )
                FROM pg_index i
                WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indimmediate
                    AND i.indpred IS NULL AND i.indexprs IS NULL
                ORDER BY i.indexrelid
            ) AS keys
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relname = $1 AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
            AND CASE WHEN $2 = '' THEN pg_table_is_visible(c.oid) ELSE n.nspname = $2 END
    ) found"
);

/// Prepares the statement [`VERSION`]. Its parameters: schema, table. Its result: the first schema of the search path, and the
/// version of the table.
pub(super) const PREPARE_VERSION: &str = concat!(
    "PREPARE landfall_version (text, text) AS
        SELECT current_schema(), (
            SELECT ",
    version!(),
    " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2)"
);

/// The name of a statement that a session has prepared.
pub(super) const VERSION: &str = "landfall_version";

/// Every schema with its tables; a NULL table if it has none.
pub(super) const TABLES: &str = "
    SELECT n.nspname::text, c.relname::text
    FROM pg_namespace n LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
    WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND has_schema_privilege(n.oid, 'USAGE')
    ORDER BY n.nspname, c.relname";

/// The columns of the tables in [`TABLES`], as JSON, a row for each table.
pub(super) const ALL_COLUMNS: &str = concat!(
    "
    SELECT row_to_json(found)::text FROM (
        SELECT n.nspname AS schema, c.relname AS name, c.relkind AS kind, getdatabaseencoding() AS encoding,
            ",
    columns!("NULL::json"),
    " AS columns
        FROM pg_namespace n JOIN pg_class c ON c.relnamespace = n.oid AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
        WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND has_schema_privilege(n.oid, 'USAGE')
    ) found"
);

/// The types of all columns of the database.
pub(super) const ALL_TYPES: &str = concat!(
    "SELECT row_to_json(found)::text FROM (SELECT ",
    types!("SELECT atttypid FROM pg_attribute WHERE attnum > 0 AND NOT attisdropped"),
    " AS types) found"
);

/// The indexes of a table, as JSON. Parameters: schema, table. `refused` says why they cannot be built after the rows, and
/// `missing` which right the user lacks for it. `drop` are the statements that drop them, without invalid ones. Of each index in
/// `indexes`, `build` are the statements that build it exactly as it is; for an index that belongs to a constraint, also the
/// constraint.
pub(super) const INDEXES: &str = "
    SELECT row_to_json(found)::text FROM (
        SELECT
            coalesce(
                CASE
                    WHEN c.relkind = 'p' OR c.relispartition THEN 'the table is partitioned, or is a partition'
                    WHEN c.relkind <> 'r' OR c.relpersistence = 't' THEN 'the table is not an ordinary table'
                    WHEN c.relhasrules OR row_security_active(c.oid) THEN 'the table has rules or row security'
                    WHEN EXISTS (SELECT FROM pg_inherits h WHERE c.oid IN (h.inhrelid, h.inhparent))
                        THEN 'the table inherits from another table, or another table inherits from it'
                    WHEN EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = c.oid AND NOT g.tgisinternal)
                        THEN 'the table has triggers, which may need the indexes'
                END,
                (
                    SELECT format('publication %I contains the table', p.pubname) FROM pg_publication_tables p
                    WHERE p.schemaname = n.nspname AND p.tablename = c.relname LIMIT 1
                ),
                (
                    SELECT format('index %I is invalid', x.relname)
                    FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
                    WHERE i.indrelid = c.oid AND NOT (i.indisvalid AND i.indisready AND i.indislive) LIMIT 1
                ),
                (
                    SELECT format('index %I belongs to an extension', x.relname)
                    FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
                        JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = x.oid
                    WHERE i.indrelid = c.oid AND d.deptype IN ('e', 'x') LIMIT 1
                ),
                (
                    SELECT format('%s depends on index %I',
                        pg_describe_object(d.classid, d.objid, d.objsubid), x.relname)
                    FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
                        LEFT JOIN pg_constraint k ON k.conindid = x.oid AND k.conrelid = c.oid AND k.contype <> 'f',
                        LATERAL (
                            SELECT d.classid, d.objid, d.objsubid FROM pg_depend d
                            WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = x.oid
                            UNION ALL
                            SELECT d.classid, d.objid, d.objsubid FROM pg_depend d
                            WHERE d.refclassid = 'pg_constraint'::regclass AND d.refobjid = k.oid
                        ) d
                    WHERE i.indrelid = c.oid
                        -- The index of a constraint, and the trigger of a deferrable one.
                        AND NOT (d.classid = 'pg_class'::regclass AND d.objid = x.oid)
                        AND NOT (d.classid = 'pg_trigger'::regclass AND EXISTS (
                            SELECT FROM pg_trigger g
                            WHERE g.oid = d.objid AND g.tgconstraint = k.oid AND g.tgenabled = 'O'))
                    LIMIT 1
                )
            ) AS refused,
            CASE
                WHEN NOT pg_has_role(c.relowner, 'USAGE')
                    THEN 'only the owner of the table can drop and create its indexes'
                WHEN NOT has_schema_privilege(n.oid, 'CREATE')
                    THEN format('this requires the privilege CREATE on schema %I', n.nspname)
                ELSE (
                    SELECT format('this requires the privilege CREATE on tablespace %I', s.spcname)
                    FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_tablespace s ON s.oid = x.reltablespace
                    WHERE i.indrelid = c.oid AND NOT has_tablespace_privilege(s.oid, 'CREATE') LIMIT 1
                )
            END AS missing,
            ARRAY(
                SELECT CASE
                    WHEN k.oid IS NULL THEN format('DROP INDEX %I.%I', n.nspname, x.relname)
                    ELSE format('ALTER TABLE %I.%I DROP CONSTRAINT %I', n.nspname, c.relname, k.conname)
                END
                FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
                    LEFT JOIN pg_constraint k ON k.conindid = x.oid AND k.conrelid = c.oid AND k.contype <> 'f'
                WHERE i.indrelid = c.oid ORDER BY x.oid
            ) AS drop,
            ARRAY(
                SELECT json_build_object('name', x.relname, 'build', concat_ws('; ',
                    format('SET LOCAL default_tablespace = %L', coalesce(s.spcname, '')),
                    CASE
                        WHEN k.oid IS NULL OR is_adopted THEN pg_get_indexdef(x.oid)
                        ELSE format('ALTER TABLE %I.%I ADD CONSTRAINT %I %s',
                            n.nspname, c.relname, k.conname, pg_get_constraintdef(k.oid))
                    END,
                    -- The definition of such a constraint lacks the storage parameters of its index.
                    CASE WHEN is_adopted THEN format('ALTER TABLE %I.%I ADD CONSTRAINT %I %s USING INDEX %I%s%s',
                        n.nspname, c.relname, k.conname, CASE k.contype WHEN 'p' THEN 'PRIMARY KEY' ELSE 'UNIQUE' END,
                        x.relname, CASE WHEN k.condeferrable THEN ' DEFERRABLE' END,
                        CASE WHEN k.condeferred THEN ' INITIALLY DEFERRED' END)
                    END,
                    'SET LOCAL default_tablespace = ' || quote_literal(current_setting('default_tablespace')),
                    format('COMMENT ON INDEX %I.%I IS ', n.nspname, x.relname)
                        || quote_literal(obj_description(x.oid, 'pg_class')),
                    CASE WHEN k.oid IS NOT NULL
                        THEN format('COMMENT ON CONSTRAINT %I ON %I.%I IS ', k.conname, n.nspname, c.relname)
                            || quote_literal(obj_description(k.oid, 'pg_constraint'))
                    END,
                    (
                        SELECT string_agg(format('ALTER INDEX %I.%I ALTER COLUMN %s SET STATISTICS %s',
                            n.nspname, x.relname, a.attnum, a.attstattarget), '; ' ORDER BY a.attnum)
                        FROM pg_attribute a WHERE a.attrelid = x.oid AND a.attstattarget >= 0
                    ),
                    CASE WHEN i.indisclustered
                        THEN format('ALTER TABLE %I.%I CLUSTER ON %I', n.nspname, c.relname, x.relname) END,
                    CASE WHEN i.indisreplident
                        THEN format('ALTER TABLE %I.%I REPLICA IDENTITY USING INDEX %I', n.nspname, c.relname, x.relname)
                    END))
                FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am m ON m.oid = x.relam
                    LEFT JOIN pg_tablespace s ON s.oid = x.reltablespace
                    LEFT JOIN pg_constraint k ON k.conindid = x.oid AND k.conrelid = c.oid AND k.contype <> 'f',
                    -- A constraint WITHOUT OVERLAPS has another kind of index.
                    LATERAL (SELECT k.contype IN ('p', 'u') AND m.amname = 'btree' AS is_adopted) a
                WHERE i.indrelid = c.oid ORDER BY x.oid
            ) AS indexes
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = $1 AND c.relname = $2
    ) found";
