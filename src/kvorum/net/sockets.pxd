"""Sockets, epoll and eventfd as C has them, and what the reactor does with addresses. C only."""
from libc.stdint cimport uint32_t

from kvorum.resp.writer cimport iovec

cdef extern from "<sys/epoll.h>" nogil:
    ctypedef union epoll_data_t:
        void* ptr
    struct epoll_event:
        uint32_t events
        epoll_data_t data
    enum:
        EPOLLIN, EPOLLOUT, EPOLLERR, EPOLLHUP, EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLL_CTL_DEL, EPOLL_CLOEXEC
    int epoll_create1(int flags)
    int epoll_ctl(int epfd, int op, int fd, epoll_event* event)
    int epoll_wait(int epfd, epoll_event* events, int maxevents, int timeout)

cdef extern from *:
    """
    #include <time.h>

    static void spin(long ns) {
        struct timespec began, now;
        for (clock_gettime(CLOCK_MONOTONIC, &began), now = began;
             (now.tv_sec - began.tv_sec) * 1000000000L + now.tv_nsec - began.tv_nsec < ns;
             clock_gettime(CLOCK_MONOTONIC, &now)) ;
    }
    """
    void spin(long ns) nogil

cdef extern from "<sys/eventfd.h>" nogil:
    enum:
        EFD_CLOEXEC, EFD_NONBLOCK
    int eventfd(unsigned int initval, int flags)

cdef extern from *:
    """
    #ifndef _GNU_SOURCE
    #define _GNU_SOURCE
    #endif
    #include <sys/socket.h>
    #include <sys/un.h>
    #include <netinet/in.h>
    #include <netinet/tcp.h>
    #include <arpa/inet.h>
    #include <stdio.h>

    /* The textual form that Redis gives to an address: ip:port, [ip6]:port, path:0. */
    static void describe_address(const struct sockaddr_storage* address, char* out, size_t room) {
        char ip[INET6_ADDRSTRLEN] = "?";
        if (address->ss_family == AF_INET) {
            const struct sockaddr_in* four = (const struct sockaddr_in*)address;
            inet_ntop(AF_INET, &four->sin_addr, ip, sizeof ip);
            snprintf(out, room, "%s:%d", ip, ntohs(four->sin_port));
        } else if (address->ss_family == AF_INET6) {
            const struct sockaddr_in6* six = (const struct sockaddr_in6*)address;
            inet_ntop(AF_INET6, &six->sin6_addr, ip, sizeof ip);
            snprintf(out, room, "[%s]:%d", ip, ntohs(six->sin6_port));
        } else if (address->ss_family == AF_UNIX) {
            snprintf(out, room, "%s:0", ((const struct sockaddr_un*)address)->sun_path);
        } else {
            snprintf(out, room, "?:0");
        }
    }

    static int is_loopback(const struct sockaddr_storage* address) {
        if (address->ss_family == AF_INET)
            return (ntohl(((const struct sockaddr_in*)address)->sin_addr.s_addr) >> 24) == 127;
        if (address->ss_family == AF_INET6) {
            const struct in6_addr* six = &((const struct sockaddr_in6*)address)->sin6_addr;
            return IN6_IS_ADDR_LOOPBACK(six) || (IN6_IS_ADDR_V4MAPPED(six) && six->s6_addr[12] == 127);
        }
        return address->ss_family == AF_UNIX;
    }

    /* Replies go out at once; a dead peer is noticed after about twice `idle` seconds. */
    static void tune_socket(int fd, int family, int idle) {
        int on = 1, interval = idle / 3 > 0 ? idle / 3 : 1, probes = 3;
        if (family == AF_UNIX) return;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (idle <= 0) return;
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
    }
    """
    struct sockaddr:
        pass
    struct sockaddr_storage:
        unsigned short ss_family
    ctypedef unsigned int socklen_t
    enum:
        SOCK_NONBLOCK, SOCK_CLOEXEC, MSG_NOSIGNAL
    int accept4(int fd, sockaddr* address, socklen_t* size, int flags) nogil
    int getsockname(int fd, sockaddr* address, socklen_t* size) nogil
    Py_ssize_t recv(int fd, void* buffer, size_t size, int flags) nogil
    Py_ssize_t send(int fd, const void* buffer, size_t size, int flags) nogil
    struct msghdr:
        iovec* msg_iov
        size_t msg_iovlen
    Py_ssize_t sendmsg(int fd, const msghdr* message, int flags) nogil
    void describe_address(const sockaddr_storage* address, char* out, size_t room)
    bint is_loopback(const sockaddr_storage* address)
    void tune_socket(int fd, int family, int idle)
