#ifndef TENON_CORE_REMOVE_FOLDER_H
#define TENON_CORE_REMOVE_FOLDER_H

#include <string>

namespace tenon::core {

// Remove the folder `path` (absolute) with all below it, whatever others do there meanwhile: no link is followed, at
// `path` and at the folder that it is in neither, and nothing on another file system is touched. Folders of this user
// that may not be read or changed are made so. True when it is gone, or was not there; what is more than 256 folders
// deep, or cannot be removed, stays. It waits for the file system. [any]
bool remove_folder(const std::string& path);

}  // namespace tenon::core

#endif
