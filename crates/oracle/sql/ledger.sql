CREATE TABLE landfall_ledger (
    job VARCHAR2(512 BYTE) NOT NULL,
    epoch NUMBER(20) NOT NULL,
    gtrid VARCHAR2(64 BYTE) NOT NULL,
    decision VARCHAR2(6 BYTE) NOT NULL CHECK (decision IN ('commit', 'abort')),
    "rows" NUMBER(20) NOT NULL,
    positions CLOB NOT NULL,
    decided_at TIMESTAMP(6) DEFAULT SYS_EXTRACT_UTC(SYSTIMESTAMP) NOT NULL,
    PRIMARY KEY (job, epoch)
)
