#include "base/file.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "support/temp_folder.h"

namespace fs = std::filesystem;

namespace graft {
namespace {

using test::TempFolder;
using test::text_of;
using test::write_text;

std::string text(Bytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

// The time of change is what tells two contents of one size apart, and clocks of disks are coarse.
void write_later(const std::string& path, const std::string& content) {
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  write_text(path, content);
}

// Opening one of these for reading can wait for ever: a test that hangs is a test that fails.
TEST(InputFile, RefusesWhatIsNoRegularFileWithoutWaiting) {
  const TempFolder folder;
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  const int socket = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  (folder / "socket").copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  fs::create_symlink("pipe", folder / "link");
  const std::pair<std::string, const char*> cases[] = {{folder / "pipe", "a pipe"},
                                                       {folder / "link", "a pipe"},
                                                       {folder / "socket", "a socket"},
                                                       {"/dev/null", "a device"},
                                                       {folder.path(), "a folder"}};
  for (const auto& [path, kind] : cases) {
    for (const Diag& d : {InputFile::open(path).error(), FileBytes::open(path, Hold::mapped).error(),
                          FileBytes::open(path, Hold::copied).error(), read_file(path, 100).error()}) {
      EXPECT_EQ(d.code, Code::io_error) << render(d);
      EXPECT_EQ(d.message, std::string(kind) + ", not a regular file");
      EXPECT_EQ(d.file, path);
    }
  }
  ::close(socket);
  EXPECT_EQ(InputFile::open(folder / "none").error().code, Code::file_not_found);
}

// Between looking at a file and opening it somebody may put a pipe in its place.
TEST(InputFile, NeverWaitsForAPipeThatComesAndGoes) {
  const TempFolder folder;
  std::atomic<bool> stop{false};
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  write_text(folder / "file", "content");
  std::thread other([&] {
    while (!stop) {
      fs::remove(folder / "x");
      fs::create_hard_link(folder / "pipe", folder / "x");
      fs::remove(folder / "x");
      fs::create_hard_link(folder / "file", folder / "x");
    }
  });
  // At least until both were seen: on a busy machine the other thread may not run for a long while.
  int files = 0, pipes = 0;
  for (int i = 0; i < 20000 || files == 0 || pipes == 0; ++i) {
    const Result<InputFile> opened = InputFile::open(folder / "x");
    files += opened ? 1 : 0;
    pipes += !opened && opened.error().message.find("a pipe, not a regular file") != std::string::npos ? 1 : 0;
    if (i >= 20000) std::this_thread::yield();
  }
  stop = true;
  other.join();
}

TEST(InputFile, SaysWhenTheFileWasCutShortOrWrittenTo) {
  const TempFolder folder;
  write_text(folder / "f", "0123456789");
  const Result<InputFile> file = InputFile::open(folder / "f");
  ASSERT_TRUE(file);
  char some[10] = {};
  EXPECT_TRUE(file->read(2, some, 3));
  EXPECT_EQ(std::string(some), "234");
  EXPECT_TRUE(file->unchanged());
  fs::resize_file(folder / "f", 4);
  const Status cut = file->read(0, some, 10);
  ASSERT_FALSE(cut);
  EXPECT_EQ(cut.error().code, Code::io_error);
  EXPECT_NE(cut.error().message.find("cut short"), std::string::npos);
  EXPECT_EQ(file->unchanged().error().code, Code::io_error);
  write_text(folder / "g", "0123456789");
  const Result<InputFile> other = InputFile::open(folder / "g");
  write_later(folder / "g", "abcdefghij");
  EXPECT_FALSE(other->unchanged());
}

TEST(FileBytes, CopiesOutliveEverythingThatHappensToTheFile) {
  const TempFolder folder;
  std::string content;
  for (int i = 0; content.size() < 3'000'000; ++i) content += std::to_string(i) + ",";
  write_text(folder / "f", content);
  const auto copy = FileBytes::open(folder / "f", Hold::copied).value();
  EXPECT_EQ(copy->size(), content.size());
  const Bytes middle = copy->bytes(1'000'003, 600'000).value();
  EXPECT_EQ(text(middle), content.substr(1'000'003, 600'000));
  const Bytes all = copy->bytes().value();
  EXPECT_EQ(middle.data(), all.data() + 1'000'003) << "one address for each byte";
  ASSERT_TRUE(copy->finish());
  fs::resize_file(folder / "f", 0);
  EXPECT_EQ(text(all), content);
  write_text(folder / "f", std::string(content.size(), 'x'));
  EXPECT_EQ(text(all), content);
  EXPECT_TRUE(copy->unchanged()) << "a finished copy has nothing to do with its file";
}

TEST(FileBytes, ARangeIsReadOnce) {
  const TempFolder folder;
  write_text(folder / "f", std::string(1'000'000, 'a'));
  const auto copy = FileBytes::open(folder / "f", Hold::copied).value();
  const Bytes first = copy->bytes(0, 100).value();
  write_later(folder / "f", std::string(1'000'000, 'b'));
  EXPECT_EQ(text(copy->bytes(0, 100).value()), std::string(100, 'a'));
  EXPECT_EQ(text(first), std::string(100, 'a')) << "what was handed out never changes";
  EXPECT_FALSE(copy->finish()) << "half old and half new is an error";
  fs::resize_file(folder / "f", 10);
  const auto behind = copy->bytes(900'000, 10);
  ASSERT_FALSE(behind);
  EXPECT_EQ(behind.error().code, Code::io_error);
}

TEST(FileBytes, EmptyFilesAndMappings) {
  const TempFolder folder;
  write_text(folder / "empty", "");
  for (const Hold hold : {Hold::mapped, Hold::copied}) {
    const auto f = FileBytes::open(folder / "empty", hold).value();
    EXPECT_EQ(f->bytes().value().size(), 0u);
    EXPECT_TRUE(f->finish());
  }
  write_text(folder / "f", "0123456789");
  const auto mapped = FileBytes::open(folder / "f", Hold::mapped).value();
  EXPECT_EQ(text(mapped->bytes(3, 4).value()), "3456");
  EXPECT_TRUE(mapped->finish());
  write_later(folder / "f", "abcdefghij");
  EXPECT_FALSE(mapped->unchanged());
}

// As much as the machine can never give must be an error, not the end of the program.
TEST(FileBytes, MoreThanTheMachineHasIsAnError) {
  const TempFolder folder;
  write_text(folder / "huge", "x");
  std::error_code ec;
  fs::resize_file(folder / "huge", uint64_t{1} << 43, ec);
  if (ec) GTEST_SKIP() << "the file system has no such large files";
  const auto f = FileBytes::open(folder / "huge", Hold::copied);
  if (f) GTEST_SKIP() << "the system promises any memory";
  EXPECT_EQ(f.error().code, Code::out_of_memory) << render(f.error());
  EXPECT_EQ(f.error().file, folder / "huge");
}

TEST(FileWriter, MakesNewFilesOnly) {
  const TempFolder folder;
  Result<FileWriter> w = FileWriter::create(folder / "f");
  ASSERT_TRUE(w);
  w->write("abc");
  EXPECT_TRUE(w->close());
  EXPECT_EQ(text_of(folder / "f"), "abc");
  EXPECT_EQ(FileWriter::create(folder / "f").error().code, Code::io_error);
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  EXPECT_FALSE(FileWriter::create(folder / "pipe")) << "without waiting for a reader";
  EXPECT_EQ(text_of(folder / "f"), "abc");
}

}  // namespace
}  // namespace graft
