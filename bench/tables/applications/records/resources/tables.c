#include "tables.h"

#include <tenon/ext/tables.h>

typedef struct item {
  const tenon_host_t* host;
  const tenon_host_tables_t* tables;
  tenon_table_t* table;
  uint32_t title;
} item_t;

static bool refused(work_t* work, const char* doing, tenon_status status, const tenon_table_problem_t* problem) {
  return failed(work, doing, status, problem->message);
}

static bool batches(const item_t* item, work_t* work, bool in_order) {
  record_t record = new_record();
  tenon_table_problem_t problem = {.size = sizeof problem};
  begin_timing(work);
  for (uint64_t done = 0; done < work->count; done += BATCH) {
    tenon_batch_t* batch = NULL;
    tenon_status status = item->tables->batch_begin(item->host, &batch);
    for (uint64_t number = done; number < done + BATCH && status == TENON_OK; number++) {
      set_record(&record, in_order ? number : draw(work));
      status = item->tables->batch_put(batch, item->table, text_of(&record), TENON_PUT_ANY);
    }
    if (status == TENON_OK) {
      status = item->tables->batch_commit(batch, &problem);
    } else if (batch != NULL) {
      item->tables->batch_discard(batch);
    }
    if (status != TENON_OK) return refused(work, "batch", status, &problem);
  }
  end_timing(work);
  return true;
}

static bool put_all(const item_t* item, work_t* work) {
  record_t record = new_record();
  tenon_table_problem_t problem = {.size = sizeof problem};
  begin_timing(work);
  for (uint64_t done = 0; done < work->count; done++) {
    set_record(&record, draw(work));
    const tenon_status status = item->tables->put(item->table, text_of(&record), TENON_PUT_ANY, &problem);
    if (status != TENON_OK) return refused(work, "put", status, &problem);
  }
  end_timing(work);
  return true;
}

static bool get_all(const item_t* item, work_t* work) {
  record_t record = new_record();
  size_t sum = 0;
  begin_timing(work);
  for (uint64_t done = 0; done < work->count; done++) {
    set_record(&record, draw(work));
    const tenon_value_t key = {.kind = TENON_VALUE_TEXT, .text = {record.key, KEY_SIZE}};
    tenon_record_t found = {.size = sizeof found};
    const tenon_status status = item->tables->get(item->table, &key, &found);
    if (status != TENON_OK) return failed(work, "get", status, record.key);
    const tenon_value_t title = tenon_record_value(&found, item->title);
    sum += (size_t)title.text.data[4] + title.text.size;
    item->tables->release(&found);
  }
  end_timing(work);
  return sum != 0 || failed(work, "get", 0, "all records are empty");
}

static bool scan(const item_t* item, work_t* work) {
  tenon_table_problem_t problem = {.size = sizeof problem};
  const tenon_scan_t everything = {.size = sizeof everything, .field = -1};
  tenon_cursor_t* cursor = NULL;
  size_t sum = 0;
  begin_timing(work);
  tenon_status status = item->tables->scan(item->table, &everything, &cursor, &problem);
  if (status != TENON_OK) return refused(work, "scan", status, &problem);
  tenon_record_t record = {.size = sizeof record};
  work->done = 0;
  while ((status = item->tables->next(cursor, &record)) == TENON_OK) {
    const tenon_value_t title = tenon_record_value(&record, item->title);
    sum += (size_t)title.text.data[4] + title.text.size;
    work->done++;
  }
  item->tables->scan_end(cursor);
  end_timing(work);
  if (status != TENON_ERROR_NOT_FOUND) return failed(work, "next", status, "");
  return sum != 0 || failed(work, "scan", 0, "there are no records");
}

bool tables_work(const tenon_host_t* host, work_t* work) {
  const tenon_bytes_t name = LITERAL("Item");
  const tenon_bytes_t title = LITERAL("title");
  item_t item = {host, host->get_extension(host, TENON_TABLES_ID), NULL, 0};
  if (item.tables == NULL) return failed(work, TENON_TABLES_ID, 0, "the host has none");
  const tenon_status status = item.tables->open(host, name, &item.table);
  if (status != TENON_OK) return failed(work, "open", status, "Item");
  item.title = (uint32_t)item.tables->field(item.table, title);
  work->done = work->count;
  if (is_work(work, "load")) return batches(&item, work, true);
  if (is_work(work, "batch")) return batches(&item, work, false);
  if (is_work(work, "put")) return put_all(&item, work);
  if (is_work(work, "get")) return get_all(&item, work);
  if (is_work(work, "scan")) return scan(&item, work);
  return failed(work, "tables", 0, "there is no such work");
}
