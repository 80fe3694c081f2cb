// GET /task-tracker/summary: what is to do in each project, counted from a scan in C++.
#include <map>
#include <string>
#include <tenon/tenon.hpp>

struct Summary : tenon::Resource {
  tenon::Response get(const tenon::Request&) override {
    struct Count {
      int64_t open = 0;
      int64_t done = 0;
      double hours = 0;
    };
    std::map<std::string, Count> projects;
    for (const tenon::Record& task : tenon::table("Task").scan()) {
      Count& count = projects[std::string(task.text("projectId"))];
      if (task.text("state") == "done") {
        ++count.done;
      } else {
        ++count.open;
        count.hours += task.number("hours");
      }
    }
    const tenon::Table names = tenon::table("Project");
    tenon::Json answer;
    answer.array();
    for (const auto& [id, count] : projects) {
      const auto project = names.get(id);
      answer.object().field("project", id).field("name", project ? project->text("name") : std::string_view(id));
      answer.field("open", count.open).field("done", count.done).field("hoursLeft", count.hours).end();
    }
    return tenon::json(answer.end());
  }
};
