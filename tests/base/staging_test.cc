#include "base/staging.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <set>

#include "base/file.h"
#include "support/deny.h"
#include "support/temp_folder.h"

namespace fs = std::filesystem;

namespace graft {
namespace {

using test::TempFolder;
using test::text_of;
using test::write_text;
using testing::ElementsAre;
using testing::HasSubstr;

Status anything(const std::string&) { return {}; }
Status nothing(const std::string&) { return fail(Code::would_overwrite, "it is precious"); }

std::set<std::string> names(const std::string& folder) {
  std::set<std::string> list;
  for (const auto& e : fs::directory_iterator(folder)) list.insert(e.path().filename().string());
  return list;
}

Staging staged(const std::string& destination, const std::string& content) {
  Result<Staging> s = Staging::beside(destination);
  if (!s) ADD_FAILURE() << render(s.error());
  write_text(s->path() + "/a/content", content);
  return std::move(*s);
}

// A process that is killed in the middle of its work: its staging folder stays.
std::string killed_staging(const std::string& destination) {
  const std::set<std::string> before = names(fs::path(destination).parent_path());
  const pid_t child = ::fork();
  if (child == 0) {
    const Staging s = staged(destination, "half");
    ::_exit(0);  // without destructors
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  for (const std::string& n : names(fs::path(destination).parent_path())) {
    if (!before.contains(n)) return (fs::path(destination).parent_path() / n).string();
  }
  ADD_FAILURE() << "nothing was left";
  return {};
}

void make_old(const std::string& folder, int seconds) {
  const timespec when{::time(nullptr) - seconds, 0};
  const timespec times[] = {when, when};
  for (const auto& e : fs::recursive_directory_iterator(folder))
    ::utimensat(AT_FDCWD, e.path().c_str(), times, AT_SYMLINK_NOFOLLOW);
  ::utimensat(AT_FDCWD, folder.c_str(), times, 0);
}

TEST(Staging, PublishesInOneStepAndLeavesNothing) {
  const TempFolder folder;
  {
    Staging s = staged(folder / "out", "first");
    EXPECT_FALSE(fs::exists(folder / "out"));
    ASSERT_TRUE(s.publish(nothing));
  }
  EXPECT_EQ(text_of(folder / "out/a/content"), "first");
  {
    Staging s = staged(folder / "out/", "second");
    ASSERT_TRUE(s.publish(anything));
  }
  EXPECT_EQ(text_of(folder / "out/a/content"), "second");
  { staged(folder / "out", "given up"); }
  {
    Result<Staging> s = Staging::beside(folder / "file");
    ASSERT_TRUE(s);
    write_text(s->path(), "a file");
    ASSERT_TRUE(s->publish(nothing));
  }
  EXPECT_EQ(text_of(folder / "file"), "a file");
  EXPECT_THAT(names(folder.path()), ElementsAre("file", "out"));
}

TEST(Staging, WhatMayNotBeReplacedIsPutBack) {
  const TempFolder folder;
  write_text(folder / "out/precious", "years of work");
  const ino_t before = [&] {
    struct stat st {};
    ::stat((folder / "out").c_str(), &st);
    return st.st_ino;
  }();
  const Status early = check_destination(folder / "out", nothing);
  ASSERT_FALSE(early);
  EXPECT_EQ(early.error().file, folder / "out");
  {
    // It is asked about the thing itself, which has another name by then.
    Staging s = staged(folder / "out", "new");
    std::string seen;
    const Status refused = s.publish([&](const std::string& found) {
      seen = text_of(found + "/precious");
      return nothing(found);
    });
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::would_overwrite);
    EXPECT_EQ(refused.error().file, folder / "out");
    EXPECT_EQ(seen, "years of work");
  }
  struct stat st {};
  ::stat((folder / "out").c_str(), &st);
  EXPECT_EQ(st.st_ino, before);
  EXPECT_EQ(text_of(folder / "out/precious"), "years of work");
  EXPECT_THAT(names(folder.path()), ElementsAre("out"));
}

TEST(Staging, WhatCannotBePutBackIsKept) {
  const TempFolder folder;
  write_text(folder / "sub/out/precious", "years of work");
  {
    Staging s = staged(folder / "sub/out", "new");
    const Status refused = s.publish([&](const std::string& found) {
      fs::rename(folder / "sub", folder / "elsewhere");  // the destination's folder is gone in the worst moment
      return nothing(found);
    });
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().message, HasSubstr("is kept in"));
  }
  int found = 0;
  for (const auto& e : fs::recursive_directory_iterator(folder.path()))
    found += e.path().filename() == "precious" && text_of(e.path()) == "years of work" ? 1 : 0;
  EXPECT_EQ(found, 1);
}

TEST(Staging, LinksAreFollowed) {
  const TempFolder folder;
  fs::create_directory(folder / "there");
  fs::create_symlink("there/real", folder / "link");
  {
    Staging s = staged(folder / "link", "new");  // the link hangs: writing makes what it names
    ASSERT_TRUE(s.publish(nothing));
  }
  EXPECT_TRUE(fs::is_symlink(folder / "link"));
  EXPECT_EQ(text_of(folder / "there/real/a/content"), "new");
  {
    Staging s = staged(folder / "link/", "newer");
    ASSERT_TRUE(s.publish(anything));
  }
  EXPECT_TRUE(fs::is_symlink(folder / "link"));
  EXPECT_EQ(text_of(folder / "there/real/a/content"), "newer");
  EXPECT_THAT(names(folder / "there"), ElementsAre("real"));
  fs::create_symlink("ring", folder / "ring");
  EXPECT_FALSE(check_destination(folder / "ring", nothing));
}

TEST(Staging, DestinationsThatCannotBe) {
  const TempFolder folder;
  write_text(folder / "file", "x");
  for (const std::string& bad : {std::string(), folder / "none/out", folder / "file/out"}) {
    const Status early = check_destination(bad, anything);
    ASSERT_FALSE(early) << bad;
    const Result<Staging> s = Staging::beside(bad);
    ASSERT_FALSE(s) << bad;
    EXPECT_EQ(s.error().message, early.error().message);
  }
  EXPECT_THAT(check_destination(folder / "none/out", anything).error().message, HasSubstr("No such file"));
  EXPECT_FALSE(check_destination(folder / std::string(300, 'x'), anything));
  for (const std::string& here : {folder.path() + "/.", folder / "..", std::string("/"), std::string(".")})
    EXPECT_EQ(check_destination(here, nothing).error().code, Code::would_overwrite) << here;
  {
    const std::string longest = folder / std::string(250, 'x');
    Staging s = staged(longest, "fits");
    EXPECT_TRUE(s.publish(nothing));
    EXPECT_EQ(text_of(longest + "/a/content"), "fits");
  }
}

TEST(Staging, TheNextOneRemovesWhatAKilledProcessLeft) {
  const TempFolder folder;
  const std::string left = killed_staging(folder / "out");
  const std::string other = killed_staging(folder / "other");
  ASSERT_TRUE(fs::exists(left + "/new/a/content"));
  { staged(folder / "out", "x"); }
  EXPECT_FALSE(fs::exists(left));
  EXPECT_TRUE(fs::exists(other)) << "it belongs to another destination";
  { staged(folder / std::string(250, 'y'), "x"); }
  const std::string of_long = killed_staging(folder / std::string(250, 'y'));
  { staged(folder / std::string(250, 'y'), "x"); }
  EXPECT_FALSE(fs::exists(of_long));
}

TEST(Staging, OnesAtWorkAreLeftAlone) {
  const TempFolder folder;
  Staging one = staged(folder / "out", "one");
  make_old(fs::path(one.path()).parent_path(), 100'000);
  {
    Staging two = staged(folder / "out", "two");
    EXPECT_TRUE(fs::exists(one.path() + "/a/content")) << "old, but its lock is held";
    EXPECT_NE(one.path(), two.path());
    ASSERT_TRUE(two.publish(nothing));
  }
  ASSERT_TRUE(one.publish(anything));
  EXPECT_EQ(text_of(folder / "out/a/content"), "one");
}

// Another machine on the same network disk: its locks cannot be seen from here.
TEST(Staging, OfOtherKernelsOnlyAgeTells) {
  const TempFolder folder;
  const std::string foreign = folder / ".out.tmp-0123abcd-0123456789abcdef";
  write_text(foreign + "/new/content", "x");
  { staged(folder / "out", "x"); }
  EXPECT_TRUE(fs::exists(foreign)) << "written to just now";
  make_old(foreign, 100'000);
  write_text(foreign + "/new/later", "y");
  { staged(folder / "out", "x"); }
  EXPECT_TRUE(fs::exists(foreign)) << "one file in it is young";
  make_old(foreign, 100'000);
  const int fd = ::open(foreign.c_str(), O_RDONLY | O_DIRECTORY);
  ASSERT_EQ(::flock(fd, LOCK_EX), 0);
  { staged(folder / "out", "x"); }
  EXPECT_TRUE(fs::exists(foreign)) << "locked";
  ::close(fd);
  { staged(folder / "out", "x"); }
  EXPECT_FALSE(fs::exists(foreign));
}

TEST(Staging, RemovesNothingButItsOwn) {
  const TempFolder folder;
  for (const std::string name : {".out.tmp-notes", ".out.tmp-1-0", ".out.tmp-0123abcd-0123456789abcdeg",
                                 ".out.tmp-0123abcd-0123456789abcdef0", ".xout.tmp-0123abcd-0123456789abcdef"}) {
    write_text(folder / (name + "/f"), "mine");
    make_old(folder / name, 100'000);
  }
  write_text(folder / ".out.tmp-0123abcd-0000000000000000", "a file");
  fs::create_directory(folder / "elsewhere");
  write_text(folder / "elsewhere/f", "mine");
  fs::create_symlink("elsewhere", folder / ".out.tmp-0123abcd-0000000000000001");
  const std::set<std::string> before = names(folder.path());
  { staged(folder / "out", "x"); }
  EXPECT_EQ(names(folder.path()), before);
  EXPECT_EQ(text_of(folder / "elsewhere/f"), "mine");
}

// Where a file system cannot exchange two names there is a moment in which the destination has only a hidden copy.
TEST(Staging, WhatWasTakenOutByAKilledProcessComesBack) {
  const TempFolder folder;
  const std::string foreign = folder / ".out.tmp-0123abcd-0123456789abcdef";
  write_text(foreign + "/old/content", "the only copy");
  write_text(foreign + "/new/content", "half");
  make_old(foreign, 100'000);
  { staged(folder / "out", "x"); }
  EXPECT_EQ(text_of(folder / "out/content"), "the only copy");
  EXPECT_THAT(names(folder.path()), ElementsAre("out"));
}

TEST(Staging, ManyWritersOfOneDestinationAllSucceed) {
  const TempFolder folder;
  std::vector<pid_t> children;
  for (int i = 0; i < 8; ++i) {
    children.push_back(::fork());
    if (children.back() != 0) continue;
    for (int k = 0; k < 25; ++k) {
      Result<Staging> s = Staging::beside(folder / "out");
      if (!s) ::_exit(1);
      write_text(s->path() + "/a/content", "whole");
      // As packages are looked at: something is wrong with a half one.
      const auto whole = [](const std::string& found) -> Status {
        return text_of(found + "/a/content") == "whole" ? Status{} : nothing(found);
      };
      if (!check_destination(folder / "out", whole)) ::_exit(2);
      if (!s->publish(whole)) ::_exit(3);
    }
    ::_exit(0);
  }
  for (const pid_t child : children) {
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_TRUE(WIFEXITED(status)) << status;
    EXPECT_EQ(WEXITSTATUS(status), 0);
  }
  EXPECT_EQ(text_of(folder / "out/a/content"), "whole");
  { staged(folder / "out", "x"); }
  EXPECT_THAT(names(folder.path()), ElementsAre("out"));
}

#if defined(__linux__)
constexpr int kNoFilters = 77;

// Runs in a child in which the call fails; the number that `body` returns, 0 for all well.
template <class Body>
int without(long call, int error, const Body& body) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(test::deny(call, error) ? body() : kNoFilters);
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(Staging, DisksWithoutAnExchangeOfNames) {
  for (const int error : {EINVAL, ENOSYS}) {
    const TempFolder folder;
    write_text(folder / "precious/f", "mine");
    const int result = without(SYS_renameat2, error, [&] {
      for (const std::string content : {"first", "second"}) {
        Staging s = staged(folder / "out", content);
        if (!s.publish(anything)) return 1;
        if (text_of(folder / "out/a/content") != content) return 2;
      }
      Staging s = staged(folder / "precious", "x");
      const Status refused = s.publish(nothing);
      return !refused && refused.error().code == Code::would_overwrite ? 0 : 3;
    });
    if (result == kNoFilters) GTEST_SKIP() << "no way to make system calls fail here";
    EXPECT_EQ(result, 0);
    EXPECT_EQ(text_of(folder / "precious/f"), "mine");
    EXPECT_THAT(names(folder.path()), ElementsAre("out", "precious"));
  }
}

TEST(Staging, DisksWithoutLocks) {
  const TempFolder folder;
  const int result = without(SYS_flock, ENOLCK, [&] {
    Staging one = staged(folder / "out", "one");
    Staging two = staged(folder / "out", "two");
    if (!fs::exists(one.path() + "/a")) return 1;  // young
    if (!one.publish(anything) || !two.publish(anything)) return 2;
    Staging three = staged(folder / "out", "three");
    make_old(fs::path(three.path()).parent_path(), 100'000);
    Staging four = staged(folder / "out", "four");
    return fs::exists(three.path() + "/a") ? 3 : 0;  // old: nothing else can tell
  });
  if (result == kNoFilters) GTEST_SKIP() << "no way to make system calls fail here";
  EXPECT_EQ(result, 0);
  EXPECT_EQ(text_of(folder / "out/a/content"), "two");
  EXPECT_THAT(names(folder.path()), ElementsAre("out"));
}

// What the disk has not taken is not published.
TEST(Staging, AFailedSyncKeepsTheOldOne) {
  const TempFolder folder;
  write_text(folder / "out/f", "old");
  int result = without(SYS_fsync, EIO, [&] {
    Staging s = staged(folder / "out", "new");
    const Status failed = s.publish(anything);
    return !failed && failed.error().code == Code::io_error ? 0 : 1;
  });
  if (result == kNoFilters) GTEST_SKIP() << "no way to make system calls fail here";
  EXPECT_EQ(result, 0);
  EXPECT_EQ(text_of(folder / "out/f"), "old");
  result = without(SYS_fsync, EINVAL, [&] {  // there are disks that have nothing to sync
    Staging s = staged(folder / "out", "new");
    return s.publish(anything) ? 0 : 1;
  });
  EXPECT_EQ(result, 0);
  EXPECT_EQ(text_of(folder / "out/a/content"), "new");
  EXPECT_THAT(names(folder.path()), ElementsAre("out"));
}

#endif

TEST(Staging, FilesOfAFolder) {
  const TempFolder folder;
  fs::create_directory(folder / "results");
  write_text(folder / "results/a.npy", "old");
  write_text(folder / "results/notes", "mine");
  write_text(folder / "elsewhere", "old");
  fs::create_symlink("../elsewhere", folder / "results/b.npy");
  const auto publish = [&](std::initializer_list<const char*> files) {
    Result<Staging> s = Staging::beside(folder / "results/outputs");
    for (const char* f : files) write_text(s->path() + "/" + f, "new");
    return s->publish_files(folder / "results");
  };
  ASSERT_TRUE(publish({"a.npy", "b.npy", "c.npy"}));
  EXPECT_THAT(names(folder / "results"), ElementsAre("a.npy", "b.npy", "c.npy", "notes"));
  for (const char* f : {"results/a.npy", "results/b.npy", "results/c.npy", "elsewhere"})
    EXPECT_EQ(text_of(folder / f), "new");
  EXPECT_TRUE(fs::is_symlink(folder / "results/b.npy"));
  ASSERT_EQ(::mkfifo((folder / "results/pipe.npy").c_str(), 0600), 0);
  fs::create_directory(folder / "results/folder.npy");
  for (const char* bad : {"pipe.npy", "folder.npy"}) {
    const Status s = publish({"d.npy", bad});
    ASSERT_FALSE(s);
    EXPECT_EQ(s.error().code, Code::would_overwrite);
    EXPECT_EQ(s.error().file, (folder / "results/") + bad);
  }
  EXPECT_THAT(names(folder / "results"), ElementsAre("a.npy", "b.npy", "c.npy", "folder.npy", "notes", "pipe.npy"))
      << "all of them or none";
}

}  // namespace
}  // namespace graft
