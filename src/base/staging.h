// Publishing: a result is built in a hidden folder beside its place and moved there in one step, so that nobody ever
// sees half of it, and nothing that is there is lost unless the new one is complete and on the disk.
#pragma once

#include <functional>
#include <string>

#include "base/diag.h"
#include "base/staging_folder.h"

namespace graft {

// May what lies at this path, which exists, be thrown away? An error (would_overwrite) says what is in the way.
using MayReplace = std::function<Status(const std::string& found)>;

// What Staging::beside() and publish() would say about a destination, before any work is done.
Status check_destination(const std::string& destination, const MayReplace& may_replace);

// Where a result is built, in a hidden folder (see staging_folder.h) beside the destination; links at the destination
// are followed. Destroyed, it takes with it what was not published.
class Staging {
 public:
  // Errors: io_error (no such folder, permissions, a full disk).
  static Result<Staging> beside(const std::string& destination);

  // Build here, a file or a folder: nothing is there yet.
  const std::string& path() const { return path_; }
  // Syncs what was built to the disk and moves it to the destination. What may_replace lets go is exchanged with it in
  // one step (where the file system has no such step, in two renames) and removed; it is asked about the very thing
  // that was taken out, and what it refuses is put back.
  Status publish(const MayReplace& may_replace);
  // For a folder of files that go into a folder which stays: each takes the place of the file of its name there.
  // Nothing is moved unless all can be; would_overwrite where something that is not a file has the name.
  Status publish_files(const std::string& folder);
  // An error about something below path(), in terms of the destination.
  Diag at_destination(Diag diag) const;

 private:
  Staging(StagingFolder folder, std::string destination)
      : folder_(std::move(folder)), path_(folder_.built()), destination_(std::move(destination)) {}
  Status exchange(const MayReplace& may_replace, bool& done);
  Status put_back(const std::string& from, Diag why);

  StagingFolder folder_;
  std::string path_, destination_;
};

}  // namespace graft
