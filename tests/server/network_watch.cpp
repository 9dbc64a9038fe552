// Preloaded into a program and all that it starts: writes down every name that is looked up and
// every address beyond the machine's own Unix sockets, and refuses them. It needs no privileges, so
// it works in containers too, where tracing and namespaces are often forbidden.
#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>

namespace {

template <typename Function>
Function next_one(Function, const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

void note(const char* call, const char* what) {
  const char* path = getenv("NETWORK_WATCH_LOG");
  const int log = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
  if (log < 0) abort();  // Nothing may pass unseen.
  char line[600];
  const int length = snprintf(line, sizeof line, "%s %s\n", call, what ? what : "");
  if (write(log, line, static_cast<size_t>(length)) != length) abort();
  close(log);
}

// Whether an address leads off the machine's Unix sockets; it is noted, Unix sockets too.
bool is_foreign(const char* call, const sockaddr* address, socklen_t size) {
  if (address == nullptr || address->sa_family == AF_UNSPEC || address->sa_family == AF_NETLINK) {
    return false;
  }
  char text[INET6_ADDRSTRLEN + 200] = "";
  if (address->sa_family == AF_UNIX) {
    const auto* path = reinterpret_cast<const sockaddr_un*>(address)->sun_path;
    const int length = static_cast<int>(size - offsetof(sockaddr_un, sun_path));
    snprintf(text, sizeof text, "unix:%.*s", length, path);
    note(call, text);
    return false;
  }
  char host[INET6_ADDRSTRLEN] = "an address of another family";
  if (address->sa_family == AF_INET) {
    const auto* ip = reinterpret_cast<const sockaddr_in*>(address);
    inet_ntop(AF_INET, &ip->sin_addr, host, sizeof host);
  } else if (address->sa_family == AF_INET6) {
    const auto* ip = reinterpret_cast<const sockaddr_in6*>(address);
    inet_ntop(AF_INET6, &ip->sin6_addr, host, sizeof host);
  }
  note(call, host);
  errno = ENETUNREACH;
  return true;
}

}  // namespace

extern "C" {

int connect(int socket, const sockaddr* address, socklen_t size) {
  static const auto real = next_one(&connect, "connect");
  return is_foreign("connect", address, size) ? -1 : real(socket, address, size);
}

ssize_t sendto(int socket, const void* data, size_t bytes, int flags, const sockaddr* address,
               socklen_t size) {
  static const auto real = next_one(&sendto, "sendto");
  if (is_foreign("sendto", address, size)) return -1;
  return real(socket, data, bytes, flags, address, size);
}

ssize_t sendmsg(int socket, const msghdr* message, int flags) {
  static const auto real = next_one(&sendmsg, "sendmsg");
  const auto* address = static_cast<const sockaddr*>(message->msg_name);
  if (is_foreign("sendmsg", address, message->msg_namelen)) return -1;
  return real(socket, message, flags);
}

int sendmmsg(int socket, mmsghdr* messages, unsigned count, int flags) {
  static const auto real = next_one(&sendmmsg, "sendmmsg");
  for (unsigned i = 0; i < count; ++i) {
    const msghdr& header = messages[i].msg_hdr;
    const auto* address = static_cast<const sockaddr*>(header.msg_name);
    if (is_foreign("sendmmsg", address, header.msg_namelen)) return -1;
  }
  return real(socket, messages, count, flags);
}

int listen(int socket, int backlog) {
  static const auto real = next_one(&listen, "listen");
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size);
  const bool foreign = is_foreign("listen", reinterpret_cast<sockaddr*>(&address), size);
  return foreign ? -1 : real(socket, backlog);
}

int getaddrinfo(const char* name, const char*, const addrinfo*, addrinfo**) {
  note("getaddrinfo", name);
  return EAI_FAIL;
}

hostent* gethostbyname(const char* name) {
  note("gethostbyname", name);
  return nullptr;
}

hostent* gethostbyname2(const char* name, int) {
  note("gethostbyname2", name);
  return nullptr;
}

int gethostbyname_r(const char* name, hostent*, char*, size_t, hostent** found, int* error) {
  note("gethostbyname_r", name);
  *found = nullptr;
  *error = NO_RECOVERY;
  return -1;
}

}  // extern "C"
