/**
 * The tables of the registry, step by step. A step that was released is never edited: what changes comes as a further one.
 * Tables are made in the first schema of the search path, the same in PGlite and on a server.
 */

export interface Migration {
  /** From 1, without gaps. */
  readonly version: number;
  readonly name: string;
  /** Statements; they run in one transaction with those of the other steps that are new. */
  readonly sql: string;
}

/** Channel that changes of plugins are told on: `{"op": "INSERT" | "UPDATE" | "DELETE" | "TRUNCATE", "name": …, "revision": …}`. */
export const channel = 'plugin_changes';

export const migrations: readonly Migration[] = [
  {
    version: 1,
    name: 'plugins, what they serve, who runs them',
    sql: `
CREATE SEQUENCE plugin_revisions;

CREATE TABLE plugins (
  name text PRIMARY KEY CHECK (name ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
  version text CHECK (length(version) <= 31),
  pinned boolean NOT NULL DEFAULT false,
  type text NOT NULL DEFAULT 'dynamic' CHECK (type IN ('dynamic', 'static')),
  source_path text CHECK (length(source_path) <= 255),
  binary_path text CHECK (length(binary_path) <= 4096),
  status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'disabled', 'invalid', 'quarantined')),
  status_reason text,
  config jsonb CHECK (jsonb_typeof(config) = 'object' AND octet_length(config::text) <= 262144),
  config_revision bigint NOT NULL DEFAULT 0,
  reload_at timestamptz,
  revision bigint NOT NULL DEFAULT 0,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE plugin_endpoints (
  plugin text NOT NULL REFERENCES plugins (name) ON UPDATE CASCADE ON DELETE CASCADE,
  method text NOT NULL,
  path text NOT NULL,
  execution text NOT NULL,
  auth text,
  roles text[] NOT NULL DEFAULT '{}',
  PRIMARY KEY (plugin, method, path)
);

CREATE TABLE plugin_artifacts (
  plugin text NOT NULL REFERENCES plugins (name) ON UPDATE CASCADE ON DELETE CASCADE,
  version text NOT NULL,
  os text NOT NULL,
  arch text NOT NULL,
  libc text NOT NULL,
  sha256 text NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),
  size bigint NOT NULL,
  signature text,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (plugin, version, os, arch, libc, sha256)
);

CREATE TABLE plugin_configs (
  plugin text NOT NULL REFERENCES plugins (name) ON UPDATE CASCADE ON DELETE CASCADE,
  revision bigint NOT NULL,
  config jsonb,
  changed_at timestamptz NOT NULL DEFAULT now(),
  changed_by text NOT NULL,
  PRIMARY KEY (plugin, revision)
);

CREATE TABLE hosts (
  id uuid PRIMARY KEY,
  name text NOT NULL,
  pid integer NOT NULL,
  url text,
  version text NOT NULL,
  os text NOT NULL,
  arch text NOT NULL,
  started_at timestamptz NOT NULL,
  seen_at timestamptz NOT NULL DEFAULT now(),
  stopped_at timestamptz,
  plugins jsonb NOT NULL DEFAULT '{}'
);

CREATE TABLE reloads (
  id text PRIMARY KEY,
  host uuid NOT NULL,
  plugin text NOT NULL,
  trigger text NOT NULL,
  outcome text NOT NULL,
  from_build jsonb,
  to_build jsonb,
  started_at timestamptz NOT NULL,
  total_ms double precision NOT NULL,
  phases jsonb NOT NULL,
  attempts integer NOT NULL,
  error jsonb
);
CREATE INDEX reloads_by_plugin ON reloads (plugin, started_at DESC);

-- Who has not said that it is a host has chosen the version it writes: hosts set tenon.host for their transactions.
CREATE FUNCTION plugins_before_write() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  by_host boolean := coalesce(current_setting('tenon.host', true), '') <> '';
BEGIN
  IF TG_OP = 'INSERT' THEN
    NEW.revision := nextval('plugin_revisions');
    IF NEW.config IS NOT NULL THEN NEW.config_revision := NEW.revision; END IF;
    RETURN NEW;
  END IF;
  NEW.created_at := OLD.created_at;
  NEW.revision := OLD.revision;
  NEW.config_revision := OLD.config_revision;
  IF NEW.version IS DISTINCT FROM OLD.version AND NEW.pinned = OLD.pinned AND NOT by_host THEN
    NEW.pinned := NEW.version IS NOT NULL;
  END IF;
  IF NEW.status IS DISTINCT FROM OLD.status AND NEW.status_reason IS NOT DISTINCT FROM OLD.status_reason THEN
    NEW.status_reason := NULL;
  END IF;
  IF (NEW.name, NEW.version, NEW.pinned, NEW.type, NEW.source_path, NEW.binary_path, NEW.status, NEW.config, NEW.reload_at)
    IS DISTINCT FROM
    (OLD.name, OLD.version, OLD.pinned, OLD.type, OLD.source_path, OLD.binary_path, OLD.status, OLD.config, OLD.reload_at)
  THEN
    NEW.revision := nextval('plugin_revisions');
    NEW.updated_at := now();
  END IF;
  IF NEW.config IS DISTINCT FROM OLD.config THEN NEW.config_revision := NEW.revision; END IF;
  RETURN NEW;
END $$;

CREATE FUNCTION plugins_after_write() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  told record;
BEGIN
  IF TG_OP = 'DELETE' THEN
    told := OLD;
    told.revision := nextval('plugin_revisions');
  ELSE
    told := NEW;
    IF TG_OP = 'UPDATE' AND NEW.revision = OLD.revision THEN RETURN NULL; END IF;
    IF NEW.config_revision > 0 AND (TG_OP = 'INSERT' OR NEW.config_revision <> OLD.config_revision) THEN
      INSERT INTO plugin_configs (plugin, revision, config, changed_by)
      VALUES (NEW.name, NEW.config_revision, NEW.config,
              coalesce(nullif(current_setting('tenon.host', true), ''), session_user::text));
    END IF;
    IF TG_OP = 'UPDATE' AND NEW.name <> OLD.name THEN
      PERFORM pg_notify('plugin_changes', json_build_object('op', 'DELETE', 'name', OLD.name, 'revision', NEW.revision)::text);
    END IF;
  END IF;
  PERFORM pg_notify('plugin_changes', json_build_object('op', TG_OP, 'name', told.name, 'revision', told.revision)::text);
  RETURN NULL;
END $$;

CREATE FUNCTION plugins_after_truncate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('plugin_changes',
    json_build_object('op', 'TRUNCATE', 'name', NULL, 'revision', nextval('plugin_revisions'))::text);
  RETURN NULL;
END $$;

-- Whoever writes may have another search path.
DO $$
DECLARE
  each text;
BEGIN
  FOREACH each IN ARRAY ARRAY['plugins_before_write', 'plugins_after_write', 'plugins_after_truncate'] LOOP
    EXECUTE format('ALTER FUNCTION %I() SET search_path = %I, pg_temp', each, current_schema());
  END LOOP;
END $$;

CREATE TRIGGER plugins_before_write BEFORE INSERT OR UPDATE ON plugins
  FOR EACH ROW EXECUTE FUNCTION plugins_before_write();
CREATE TRIGGER plugins_after_write AFTER INSERT OR UPDATE OR DELETE ON plugins
  FOR EACH ROW EXECUTE FUNCTION plugins_after_write();
CREATE TRIGGER plugins_after_truncate AFTER TRUNCATE ON plugins
  FOR EACH STATEMENT EXECUTE FUNCTION plugins_after_truncate();
`,
  },
];
