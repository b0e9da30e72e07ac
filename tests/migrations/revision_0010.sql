BEGIN TRANSACTION;
CREATE TABLE account (
	id INTEGER NOT NULL, 
	account_id VARCHAR(64) NOT NULL, 
	customer_key INTEGER NOT NULL, 
	name TEXT NOT NULL, 
	CONSTRAINT pk_account PRIMARY KEY (id), 
	CONSTRAINT fk_account_customer_key FOREIGN KEY(customer_key) REFERENCES customer (id), 
	CONSTRAINT uq_account_account_id UNIQUE (account_id)
);
CREATE TABLE account_charge (
	id INTEGER NOT NULL, 
	account_key INTEGER NOT NULL, 
	month VARCHAR(7) NOT NULL, 
	line_item_key INTEGER NOT NULL, 
	contract_revision INTEGER NOT NULL, 
	rate TEXT NOT NULL, 
	base BIGINT, 
	amount BIGINT NOT NULL, 
	currency VARCHAR(3) NOT NULL, 
	run_key BIGINT NOT NULL, 
	created_at VARCHAR(27) NOT NULL, 
	CONSTRAINT pk_account_charge PRIMARY KEY (id), 
	CONSTRAINT fk_account_charge_account_key FOREIGN KEY(account_key) REFERENCES account (id), 
	CONSTRAINT fk_account_charge_line_item_key FOREIGN KEY(line_item_key) REFERENCES custom_line_item (id), 
	CONSTRAINT uq_account_charge_account_key_month_line_item_key_currency UNIQUE (account_key, month, line_item_key, currency)
);
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0010');
CREATE TABLE app_user (
	id INTEGER NOT NULL, 
	email VARCHAR(254) NOT NULL, 
	role VARCHAR(32) NOT NULL, 
	os_user VARCHAR(254), 
	password_hash TEXT, 
	token_hash VARCHAR(64), 
	mail VARCHAR(8) NOT NULL, 
	disabled BOOLEAN NOT NULL, 
	created_at VARCHAR(27) NOT NULL, 
	CONSTRAINT pk_app_user PRIMARY KEY (id), 
	CONSTRAINT uq_app_user_email UNIQUE (email), 
	CONSTRAINT uq_app_user_os_user UNIQUE (os_user), 
	CONSTRAINT uq_app_user_token_hash UNIQUE (token_hash)
);
CREATE TABLE asset_line_item (
	id INTEGER NOT NULL, 
	asset_line_item_id VARCHAR(64) NOT NULL, 
	asset_number TEXT NOT NULL, 
	customer_key INTEGER NOT NULL, 
	account_key INTEGER, 
	product VARCHAR(64) NOT NULL, 
	start_date DATE NOT NULL, 
	end_date DATE NOT NULL, 
	billing_frequency VARCHAR(16) NOT NULL, 
	usage_frequency VARCHAR(16) NOT NULL, 
	first_billing_date DATE NOT NULL, 
	price_book_key INTEGER, 
	selling_frequency VARCHAR(16), 
	price_type VARCHAR(16) NOT NULL, 
	list_price TEXT, 
	currency VARCHAR(3), 
	CONSTRAINT pk_asset_line_item PRIMARY KEY (id), 
	CONSTRAINT fk_asset_line_item_account_key FOREIGN KEY(account_key) REFERENCES account (id), 
	CONSTRAINT fk_asset_line_item_customer_key FOREIGN KEY(customer_key) REFERENCES customer (id), 
	CONSTRAINT fk_asset_line_item_price_book_key FOREIGN KEY(price_book_key) REFERENCES price_book (id), 
	CONSTRAINT uq_asset_line_item_asset_line_item_id UNIQUE (asset_line_item_id)
);
CREATE TABLE audit_entry (
	id INTEGER NOT NULL, 
	at VARCHAR(27) NOT NULL, 
	actor TEXT NOT NULL, 
	os_user TEXT NOT NULL, 
	act VARCHAR(64) NOT NULL, 
	subject TEXT NOT NULL, 
	reason TEXT, 
	"before" TEXT, 
	"after" TEXT, sealed BOOLEAN DEFAULT 0 NOT NULL, 
	CONSTRAINT pk_audit_entry PRIMARY KEY (id)
);
INSERT INTO "audit_entry" VALUES(1,'2026-11-29T02:04:43.013488Z','erika','root','database.upgrade','sqlite:////srv/books/mini.db',NULL,'{"revision": null}','{"revision": "0010"}',0);
INSERT INTO "audit_entry" VALUES(2,'2026-11-29T02:05:01.416363Z','erika','root','run.submit','JR-00000001',NULL,NULL,'{"job": "draft-usage-rating", "mode": "batch", "status": "Holding"}',0);
INSERT INTO "audit_entry" VALUES(3,'2026-11-29T02:05:23.802545Z','erika','root','schedule.add','Nightly',NULL,NULL,'{"name": "Nightly", "cron": "0 0 0 ? * * *", "job": "draft-usage-rating", "parameters": {"usage_input_ids": null, "asset_line_item_ids": null, "include_rated": false}, "owner": "erika", "time_zone": "UTC", "misfire": "latest", "grace_seconds": null, "cap": 24, "overlap": "skip", "start": null, "end": null, "notify": ["ops@example.com"], "mail_owner": true, "reason": null, "explanation": null, "scope_size": null, "error_ceiling": null, "start_within_minutes": null, "finish_within_minutes": null, "ping": null}',0);
INSERT INTO "audit_entry" VALUES(4,'2026-11-29T02:05:41.036140Z','erika','root','run.submit','JR-00000002',NULL,NULL,'{"job": "slow", "mode": "batch", "status": "Holding"}',0);
CREATE TABLE audit_head (
	id INTEGER NOT NULL, 
	count BIGINT NOT NULL, 
	hash VARCHAR(64) NOT NULL, 
	CONSTRAINT pk_audit_head PRIMARY KEY (id)
);
INSERT INTO "audit_head" VALUES(1,0,'0000000000000000000000000000000000000000000000000000000000000000');
CREATE TABLE audit_seal (
	number BIGINT NOT NULL, 
	entry_id BIGINT NOT NULL, 
	hash VARCHAR(64) NOT NULL, 
	CONSTRAINT pk_audit_seal PRIMARY KEY (number), 
	CONSTRAINT uq_audit_seal_entry_id UNIQUE (entry_id)
);
CREATE TABLE billing_schedule (
	id INTEGER NOT NULL, 
	billing_schedule_id VARCHAR(64) NOT NULL, 
	asset_key INTEGER NOT NULL, 
	period_start_date DATE NOT NULL, 
	period_end_date DATE NOT NULL, 
	fee_amount BIGINT NOT NULL, 
	ready_for_invoice_date DATE NOT NULL, 
	type VARCHAR(16) NOT NULL, 
	status VARCHAR(16) NOT NULL, 
	CONSTRAINT pk_billing_schedule PRIMARY KEY (id), 
	CONSTRAINT fk_billing_schedule_asset_key FOREIGN KEY(asset_key) REFERENCES asset_line_item (id), 
	CONSTRAINT uq_billing_schedule_billing_schedule_id UNIQUE (billing_schedule_id)
);
CREATE TABLE contract (
	id INTEGER NOT NULL, 
	contract_id VARCHAR(64) NOT NULL, 
	revision INTEGER NOT NULL, 
	customer_key INTEGER NOT NULL, 
	price_book_key INTEGER NOT NULL, 
	start_date DATE NOT NULL, 
	end_date DATE, 
	status VARCHAR(16) NOT NULL, 
	discount_percent TEXT, 
	created_at VARCHAR(27) NOT NULL, 
	CONSTRAINT pk_contract PRIMARY KEY (id), 
	CONSTRAINT fk_contract_customer_key FOREIGN KEY(customer_key) REFERENCES customer (id), 
	CONSTRAINT fk_contract_price_book_key FOREIGN KEY(price_book_key) REFERENCES price_book (id), 
	CONSTRAINT uq_contract_contract_id_revision UNIQUE (contract_id, revision)
);
CREATE TABLE contract_account (
	contract_key INTEGER NOT NULL, 
	account_key INTEGER NOT NULL, 
	CONSTRAINT pk_contract_account PRIMARY KEY (contract_key, account_key), 
	CONSTRAINT fk_contract_account_account_key FOREIGN KEY(account_key) REFERENCES account (id), 
	CONSTRAINT fk_contract_account_contract_key FOREIGN KEY(contract_key) REFERENCES contract (id)
);
CREATE TABLE custom_line_item (
	id INTEGER NOT NULL, 
	line_item_id VARCHAR(64) NOT NULL, 
	contract_id VARCHAR(64) NOT NULL, 
	account_key INTEGER, 
	description TEXT NOT NULL, 
	kind VARCHAR(32) NOT NULL, 
	amount TEXT NOT NULL, 
	start_date DATE NOT NULL, 
	end_date DATE, 
	CONSTRAINT pk_custom_line_item PRIMARY KEY (id), 
	CONSTRAINT fk_custom_line_item_account_key FOREIGN KEY(account_key) REFERENCES account (id), 
	CONSTRAINT uq_custom_line_item_line_item_id UNIQUE (line_item_id)
);
CREATE TABLE customer (
	id INTEGER NOT NULL, 
	customer_id VARCHAR(64) NOT NULL, 
	name TEXT NOT NULL, 
	CONSTRAINT pk_customer PRIMARY KEY (id), 
	CONSTRAINT uq_customer_customer_id UNIQUE (customer_id)
);
CREATE TABLE id_counter (
	prefix VARCHAR(8) NOT NULL, 
	last BIGINT NOT NULL, 
	CONSTRAINT pk_id_counter PRIMARY KEY (prefix)
);
CREATE TABLE mail (
	id INTEGER NOT NULL, 
	mail_id VARCHAR(64), 
	run_id INTEGER, 
	kind VARCHAR(32) NOT NULL, 
	recipient TEXT, 
	facts TEXT NOT NULL, 
	status VARCHAR(16) NOT NULL, 
	message_id TEXT NOT NULL, 
	attempts INTEGER NOT NULL, 
	next_attempt_at VARCHAR(27), 
	error TEXT, 
	created_at VARCHAR(27) NOT NULL, 
	sent_at VARCHAR(27), 
	CONSTRAINT pk_mail PRIMARY KEY (id), 
	CONSTRAINT fk_mail_run_id FOREIGN KEY(run_id) REFERENCES run (id), 
	CONSTRAINT uq_mail_mail_id UNIQUE (mail_id)
);
INSERT INTO "mail" VALUES(1,'ML-00000001',1,'run_ended','erika@example.com','{"run_id": "JR-00000001", "job": "draft-usage-rating", "type": "Draft usage rating", "mode": "batch", "status": "Completed", "badge": "Complete", "actor": "erika", "reason": null, "explanation": null, "parameters": {"usage_input_ids": null, "asset_line_item_ids": null, "include_rated": false}, "trigger": "cli", "schedule": null, "parent_run_id": null, "customer_id": null, "periods": null, "total": 0, "processed": 0, "errored": 0, "skipped": 0, "not_reached": 0, "totals": {}, "warnings": [], "error": null, "created_at": "2026-11-29T02:05:01.274Z", "started_at": "2026-11-29T02:05:01.597Z", "ended_at": "2026-11-29T02:05:01.975Z", "duration_seconds": 0.378, "record_noun": "usage input", "retry_unit": "asset line item", "error_note": "A Loaded usage input with an error is now in status Error, without a draft amount. Every next forecast takes it again and makes it Loaded when it passes: it needs no reset. A Rated one keeps its status and its rated amount.", "database": "sqlite:////srv/books/mini.db", "base_url": null, "mail_only_to_files": false}','waiting','<7047b515200f417491ec0a7e144e8abd@localhost>',1,'2026-11-29T02:06:09.154167Z','no connection to 127.0.0.1:1: Error connecting to 127.0.0.1 on port 1: [Errno 111] Connect call failed (''127.0.0.1'', 1)','2026-11-29T02:05:02.125342Z',NULL);
CREATE TABLE outcome (
	id INTEGER NOT NULL, 
	run_id INTEGER NOT NULL, 
	scope_id INTEGER NOT NULL, 
	record_key BIGINT NOT NULL, 
	outcome VARCHAR(8) NOT NULL, 
	code VARCHAR(64) NOT NULL, 
	message TEXT NOT NULL, 
	CONSTRAINT pk_outcome PRIMARY KEY (id), 
	CONSTRAINT fk_outcome_run_id FOREIGN KEY(run_id) REFERENCES run (id), 
	CONSTRAINT fk_outcome_scope_id FOREIGN KEY(scope_id) REFERENCES scope (id), 
	CONSTRAINT uq_outcome_run_id_record_key UNIQUE (run_id, record_key)
);
CREATE TABLE "preview_line" (
	id INTEGER NOT NULL, 
	run_id INTEGER NOT NULL, 
	scope_id INTEGER, 
	kind VARCHAR(32) NOT NULL, 
	record_id VARCHAR(255) NOT NULL, 
	amount BIGINT, 
	currency VARCHAR(3), 
	detail TEXT NOT NULL, 
	amount_before BIGINT, 
	amount_after BIGINT, 
	customer_id TEXT, 
	CONSTRAINT pk_preview_line PRIMARY KEY (id), 
	CONSTRAINT fk_preview_line_run_id FOREIGN KEY(run_id) REFERENCES run (id), 
	CONSTRAINT fk_preview_line_scope_id FOREIGN KEY(scope_id) REFERENCES scope (id)
);
CREATE TABLE price (
	id INTEGER NOT NULL, 
	price_book_key INTEGER NOT NULL, 
	product VARCHAR(64) NOT NULL, 
	effective_from DATE NOT NULL, 
	revision INTEGER NOT NULL, 
	model VARCHAR(16) NOT NULL, 
	product_uom VARCHAR(64) NOT NULL, 
	unit_price TEXT, 
	flat_fee TEXT, 
	percentage TEXT, 
	package_size TEXT, 
	included_quantity TEXT, 
	minimum_amount TEXT, 
	maximum_amount TEXT, 
	usage_indexing BOOLEAN NOT NULL, 
	flat_fee_per VARCHAR(8) NOT NULL, 
	created_at VARCHAR(27) NOT NULL, 
	CONSTRAINT pk_price PRIMARY KEY (id), 
	CONSTRAINT fk_price_price_book_key FOREIGN KEY(price_book_key) REFERENCES price_book (id), 
	CONSTRAINT uq_price_price_book_key_product_effective_from_revision UNIQUE (price_book_key, product, effective_from, revision)
);
CREATE TABLE price_book (
	id INTEGER NOT NULL, 
	price_book_id VARCHAR(64) NOT NULL, 
	name TEXT NOT NULL, 
	currency VARCHAR(3) NOT NULL, 
	CONSTRAINT pk_price_book PRIMARY KEY (id), 
	CONSTRAINT uq_price_book_price_book_id UNIQUE (price_book_id)
);
CREATE TABLE price_tier (
	id INTEGER NOT NULL, 
	price_key INTEGER NOT NULL, 
	ordinal INTEGER NOT NULL, 
	from_quantity TEXT NOT NULL, 
	to_quantity TEXT, 
	unit_price TEXT, 
	flat_fee TEXT, 
	CONSTRAINT pk_price_tier PRIMARY KEY (id), 
	CONSTRAINT fk_price_tier_price_key FOREIGN KEY(price_key) REFERENCES price (id), 
	CONSTRAINT uq_price_tier_price_key_ordinal UNIQUE (price_key, ordinal)
);
CREATE TABLE run (
	id INTEGER NOT NULL, 
	run_id VARCHAR(64), 
	job VARCHAR(64) NOT NULL, 
	type VARCHAR(64) NOT NULL, 
	mode VARCHAR(8) NOT NULL, 
	in_caller BOOLEAN NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	actor TEXT NOT NULL, 
	reason TEXT, 
	explanation TEXT, 
	parameters TEXT NOT NULL, 
	"trigger" VARCHAR(16) NOT NULL, 
	schedule TEXT, 
	parent_id INTEGER, 
	customer_id TEXT, 
	periods TEXT, 
	scope_size INTEGER NOT NULL, 
	error_ceiling VARCHAR(16), 
	notify TEXT NOT NULL, 
	mail_actor BOOLEAN NOT NULL, 
	queue_key TEXT NOT NULL, 
	queue_position BIGINT NOT NULL, 
	fence BIGINT NOT NULL, 
	owner TEXT, 
	total INTEGER, 
	processed INTEGER, 
	errored INTEGER, 
	skipped INTEGER, 
	not_reached INTEGER, 
	totals TEXT, 
	error TEXT, 
	created_at VARCHAR(27) NOT NULL, 
	started_at VARCHAR(27), 
	ended_at VARCHAR(27), dedup_key TEXT, after_earlier BOOLEAN DEFAULT 0 NOT NULL, 
	CONSTRAINT pk_run PRIMARY KEY (id), 
	CONSTRAINT fk_run_parent_id FOREIGN KEY(parent_id) REFERENCES run (id), 
	CONSTRAINT uq_run_run_id UNIQUE (run_id)
);
INSERT INTO "run" VALUES(1,'JR-00000001','draft-usage-rating','Draft usage rating','batch',0,'Completed','erika',NULL,NULL,'{"usage_input_ids": null, "asset_line_item_ids": null, "include_rated": false}','cli',NULL,NULL,NULL,NULL,2000,NULL,'[]',1,'erika',1,1,NULL,0,0,0,0,0,'{}',NULL,'2026-11-29T02:05:01.274673Z','2026-11-29T02:05:01.597529Z','2026-11-29T02:05:01.975032Z',NULL,0);
INSERT INTO "run" VALUES(2,'JR-00000002','slow','Slow','batch',0,'Processing','erika',NULL,NULL,'{}','cli',NULL,NULL,NULL,NULL,1,NULL,'[]',1,'erika',2,1,'old/1',3,NULL,NULL,NULL,NULL,NULL,NULL,'2026-11-29T02:05:41.022438Z','2026-11-29T02:05:41.222147Z',NULL,NULL,0);
CREATE TABLE run_selection (
	run_id INTEGER NOT NULL, 
	"key" BIGINT NOT NULL, 
	CONSTRAINT pk_run_selection PRIMARY KEY (run_id, "key"), 
	CONSTRAINT fk_run_selection_run_id FOREIGN KEY(run_id) REFERENCES run (id)
);
CREATE TABLE run_warning (
	id INTEGER NOT NULL, 
	run_id INTEGER NOT NULL, 
	scope_id INTEGER, 
	code VARCHAR(64) NOT NULL, 
	message TEXT NOT NULL, 
	record_id TEXT, 
	CONSTRAINT pk_run_warning PRIMARY KEY (id), 
	CONSTRAINT fk_run_warning_run_id FOREIGN KEY(run_id) REFERENCES run (id), 
	CONSTRAINT fk_run_warning_scope_id FOREIGN KEY(scope_id) REFERENCES scope (id)
);
CREATE TABLE schedule (
	id INTEGER NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	cron TEXT NOT NULL, 
	time_zone VARCHAR(64) NOT NULL, 
	job VARCHAR(64) NOT NULL, 
	parameters TEXT NOT NULL, 
	misfire VARCHAR(8) NOT NULL, 
	grace_seconds INTEGER, 
	cap INTEGER NOT NULL, 
	overlap VARCHAR(8) NOT NULL, 
	start VARCHAR(27), 
	"end" VARCHAR(27), 
	owner TEXT NOT NULL, 
	notify TEXT NOT NULL, 
	mail_owner BOOLEAN NOT NULL, 
	reason TEXT, 
	explanation TEXT, 
	scope_size INTEGER, 
	error_ceiling VARCHAR(16), 
	start_within_minutes INTEGER, 
	finish_within_minutes INTEGER, 
	ping TEXT, 
	created_at VARCHAR(27) NOT NULL, 
	timed_at VARCHAR(27) NOT NULL, 
	paused BOOLEAN NOT NULL, 
	paused_at VARCHAR(27), 
	resumed_at VARCHAR(27), 
	last_nominal_time VARCHAR(27), 
	CONSTRAINT pk_schedule PRIMARY KEY (id), 
	CONSTRAINT uq_schedule_name UNIQUE (name)
);
INSERT INTO "schedule" VALUES(1,'Nightly','0 0 0 ? * * *','UTC','draft-usage-rating','{"usage_input_ids": null, "asset_line_item_ids": null, "include_rated": false}','latest',NULL,24,'skip',NULL,NULL,'erika','["ops@example.com"]',1,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'2026-11-29T02:05:23.802545Z','2026-11-29T02:05:23.802545Z',0,NULL,NULL,NULL);
CREATE TABLE schedule_fire (
	id INTEGER NOT NULL, 
	schedule_id INTEGER NOT NULL, 
	nominal_time VARCHAR(27) NOT NULL, 
	last_nominal_time VARCHAR(27) NOT NULL, 
	count BIGINT NOT NULL, 
	decision VARCHAR(8) NOT NULL, 
	reason TEXT, 
	run_id VARCHAR(64), 
	recorded_at VARCHAR(27) NOT NULL, 
	CONSTRAINT pk_schedule_fire PRIMARY KEY (id), 
	CONSTRAINT fk_schedule_fire_schedule_id FOREIGN KEY(schedule_id) REFERENCES schedule (id), 
	CONSTRAINT uq_schedule_fire_schedule_id_nominal_time UNIQUE (schedule_id, nominal_time)
);
CREATE TABLE schedule_watch (
	id INTEGER NOT NULL, 
	schedule_id INTEGER NOT NULL, 
	nominal_time VARCHAR(27) NOT NULL, 
	last_nominal_time VARCHAR(27) NOT NULL, 
	count BIGINT NOT NULL, 
	run_id VARCHAR(64), 
	reason TEXT, 
	start_by VARCHAR(27), 
	finish_by VARCHAR(27), 
	ping TEXT, 
	pings INTEGER NOT NULL, 
	ping_at VARCHAR(27), 
	CONSTRAINT pk_schedule_watch PRIMARY KEY (id), 
	CONSTRAINT fk_schedule_watch_schedule_id FOREIGN KEY(schedule_id) REFERENCES schedule (id), 
	CONSTRAINT uq_schedule_watch_schedule_id_nominal_time UNIQUE (schedule_id, nominal_time)
);
CREATE TABLE scheduling (
	id INTEGER NOT NULL, 
	version BIGINT NOT NULL, 
	held_at VARCHAR(27), 
	released_at VARCHAR(27), 
	CONSTRAINT pk_scheduling PRIMARY KEY (id)
);
INSERT INTO "scheduling" VALUES(1,1,NULL,NULL);
CREATE TABLE scope (
	id INTEGER NOT NULL, 
	run_id INTEGER NOT NULL, 
	number INTEGER NOT NULL, 
	first_record INTEGER NOT NULL, 
	state VARCHAR(8) NOT NULL, 
	records INTEGER NOT NULL, 
	keys BLOB NOT NULL, 
	groups BLOB NOT NULL, 
	first_group BIGINT, 
	last_group BIGINT, 
	ok INTEGER, 
	errored INTEGER, 
	skipped INTEGER, 
	totals TEXT, 
	amounts BLOB, 
	currencies TEXT, about TEXT, 
	CONSTRAINT pk_scope PRIMARY KEY (id), 
	CONSTRAINT fk_scope_run_id FOREIGN KEY(run_id) REFERENCES run (id), 
	CONSTRAINT uq_scope_run_id_number UNIQUE (run_id, number)
);
INSERT INTO "scope" VALUES(1,2,1,1,'done',1,X'0100000000000000',X'',NULL,NULL,1,0,0,'{}',NULL,NULL,NULL);
INSERT INTO "scope" VALUES(2,2,2,2,'pending',1,X'0200000000000000',X'',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "scope" VALUES(3,2,3,3,'pending',1,X'0300000000000000',X'',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE steering (
	run_id INTEGER NOT NULL, 
	asked VARCHAR(8) NOT NULL, 
	actor TEXT NOT NULL, 
	asked_at VARCHAR(27) NOT NULL, 
	CONSTRAINT pk_steering PRIMARY KEY (run_id), 
	CONSTRAINT fk_steering_run_id FOREIGN KEY(run_id) REFERENCES run (id)
);
CREATE TABLE usage_input (
	id INTEGER NOT NULL, 
	usage_input_id VARCHAR(64) NOT NULL, 
	asset_key INTEGER NOT NULL, 
	usage_date DATE NOT NULL, 
	quantity TEXT NOT NULL, 
	product_uom VARCHAR(64) NOT NULL, 
	description TEXT, 
	status VARCHAR(8) NOT NULL, 
	error_by VARCHAR(8), 
	code VARCHAR(32), 
	message TEXT, 
	deleted BOOLEAN NOT NULL, 
	rated_amount BIGINT, 
	draft_rated_amount BIGINT, 
	draft_run_key BIGINT, 
	draft_price_key BIGINT, 
	draft_contract_key BIGINT, 
	draft_discount_percent TEXT, 
	draft_prior_quantity TEXT, rated_run_key BIGINT, rated_price_key BIGINT, rated_contract_key BIGINT, rated_discount_percent TEXT, rated_prior_quantity TEXT, rated_schedule_key BIGINT, 
	CONSTRAINT pk_usage_input PRIMARY KEY (id), 
	CONSTRAINT fk_usage_input_asset_key FOREIGN KEY(asset_key) REFERENCES asset_line_item (id), 
	CONSTRAINT uq_usage_input_usage_input_id UNIQUE (usage_input_id)
);
CREATE TABLE usage_schedule (
	id INTEGER NOT NULL, 
	usage_schedule_id VARCHAR(64) NOT NULL, 
	billing_schedule_key INTEGER NOT NULL, 
	asset_key INTEGER NOT NULL, 
	period_start_date DATE NOT NULL, 
	period_end_date DATE NOT NULL, 
	included_quantity TEXT NOT NULL, 
	actual_quantity TEXT NOT NULL, 
	fee_amount BIGINT NOT NULL, 
	draft_rated_quantity TEXT, 
	draft_fee_amount BIGINT, 
	type VARCHAR(16) NOT NULL, rated_inputs INTEGER DEFAULT 0 NOT NULL, 
	CONSTRAINT pk_usage_schedule PRIMARY KEY (id), 
	CONSTRAINT fk_usage_schedule_billing_schedule_key FOREIGN KEY(billing_schedule_key) REFERENCES billing_schedule (id), 
	CONSTRAINT uq_usage_schedule_usage_schedule_id UNIQUE (usage_schedule_id)
);
CREATE INDEX ix_audit_entry_at ON audit_entry (at);
CREATE INDEX ix_run_parent_id ON run (parent_id);
CREATE INDEX ix_run_state ON run (state);
CREATE INDEX ix_account_customer_key ON account (customer_key);
CREATE INDEX ix_contract_customer_key ON contract (customer_key);
CREATE INDEX ix_mail_run_id ON mail (run_id);
CREATE INDEX ix_mail_status_next_attempt_at ON mail (status, next_attempt_at);
CREATE INDEX ix_asset_line_item_customer_key ON asset_line_item (customer_key);
CREATE INDEX ix_custom_line_item_contract_id ON custom_line_item (contract_id);
CREATE INDEX ix_outcome_scope_id ON outcome (scope_id);
CREATE INDEX ix_run_warning_run_id ON run_warning (run_id);
CREATE INDEX ix_billing_schedule_asset_key ON billing_schedule (asset_key);
CREATE INDEX ix_usage_input_asset_key_id ON usage_input (asset_key, id);
CREATE INDEX ix_usage_input_draft_candidate ON usage_input (asset_key, id, status, error_by, deleted) WHERE NOT deleted AND (status = 'Loaded' OR (status = 'Error' AND error_by = 'draft'));
CREATE INDEX ix_usage_schedule_asset_key ON usage_schedule (asset_key);
CREATE INDEX ix_usage_schedule_billing_schedule_key ON usage_schedule (billing_schedule_key);
CREATE UNIQUE INDEX ix_run_job_dedup_key ON run (job, dedup_key) WHERE dedup_key IS NOT NULL AND state NOT IN ('Completed', 'Failed', 'Aborted');
CREATE INDEX ix_run_schedule_live ON run (schedule) WHERE schedule IS NOT NULL AND state NOT IN ('Completed', 'Failed', 'Aborted');
CREATE INDEX ix_schedule_fire_run_id ON schedule_fire (run_id);
CREATE INDEX ix_audit_entry_unsealed ON audit_entry (id) WHERE NOT sealed;
CREATE INDEX ix_preview_line_scope_id ON preview_line (scope_id);
CREATE INDEX ix_preview_line_run_id ON preview_line (run_id);
COMMIT;
