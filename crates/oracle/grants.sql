-- The privileges for two-phase commit. The script is run as SYS in the container database.
ALTER SESSION SET CONTAINER = FREEPDB1;
GRANT EXECUTE ON SYS.DBMS_XA TO landfall;
GRANT SELECT ON SYS.DBA_PENDING_TRANSACTIONS TO landfall;
GRANT SELECT ON SYS.PENDING_TRANS$ TO landfall;
GRANT SELECT ON SYS.DBA_2PC_PENDING TO landfall;
