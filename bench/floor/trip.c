// The least that a start can cost behind a keeper: `trip PROGRAM STARTS`.
//
// std spawns a program and hears its first answer. A supervisor whose plugins are children of a keeper makes two trips
// more: the order goes to the keeper as a message with three descriptors, and once the opening is through the plugin has
// to answer a probe. Nothing else is done here: no checks, limits, events, deadlines, logs, cgroup or second process.
// Each way in turn, PROGRAM an outboard plugin; prints the median of each in milliseconds.

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char HELLO[] =
    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{\"protocolVersions\":[1],"
    "\"hostInfo\":{\"name\":\"bench\",\"version\":\"1\"},\"plugin\":{\"id\":\"e\",\"instance\":\"e-0\","
    "\"generation\":1},\"config\":{},\"capabilities\":{},\"limits\":{}}}\n";
static const char OPENED[] =
    "{\"jsonrpc\":\"2.0\",\"method\":\"initialized\"}\n"
    "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"ping\"}\n";

static void die(const char *what) {
    perror(what);
    exit(1);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

// vfork and exec, as std does it.
static pid_t start(const char *program, const int child[3]) {
    pid_t pid = vfork();
    if (pid < 0) die("vfork");
    if (pid == 0) {
        for (int i = 0; i < 3; i++) dup2(child[i], i);
        execl(program, program, (char *)NULL);
        _exit(127);
    }
    return pid;
}

// Starts what it is told to, and answers with the number.
static void keeper(int socket, const char *program) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGCHLD, SIG_IGN);
    for (;;) {
        char byte, control[CMSG_SPACE(3 * sizeof(int))];
        struct iovec iov = {&byte, 1};
        struct msghdr message = {
            .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
        if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) <= 0) _exit(0);
        int child[3];
        memcpy(child, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof child);
        pid_t pid = start(program, child);
        for (int i = 0; i < 3; i++) close(child[i]);
        if (write(socket, &pid, sizeof pid) != sizeof pid) _exit(1);
    }
}

static void order(int socket, const int child[3]) {
    char byte = 0, control[CMSG_SPACE(3 * sizeof(int))];
    struct iovec iov = {&byte, 1};
    struct msghdr message = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(3 * sizeof(int));
    memcpy(CMSG_DATA(head), child, 3 * sizeof(int));
    if (sendmsg(socket, &message, 0) != 1) die("sendmsg");
}

static void say(int to, const char *text, size_t size) {
    if (write(to, text, size) != (ssize_t)size) die("write");
}

static void hear_line(int from) {
    char buffer[4096];
    ssize_t got;
    do {
        got = read(from, buffer, sizeof buffer);
        if (got <= 0) die("read");
    } while (buffer[got - 1] != '\n');
}

static double one(const char *program, int socket, int probed) {
    double began = now();
    int in[2], out[2], err[2];
    if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC)) die("pipe2");
    int child[3] = {in[0], out[1], err[1]};
    pid_t pid = 0;
    if (socket < 0) {
        pid = start(program, child);
    } else {
        order(socket, child);
    }
    for (int i = 0; i < 3; i++) close(child[i]);
    say(in[1], HELLO, sizeof HELLO - 1);
    hear_line(out[0]);
    if (probed) {
        say(in[1], OPENED, sizeof OPENED - 1);
        hear_line(out[0]);
    }
    double took = now() - began;
    // Its number may come late: it is in nobody's way.
    if (socket >= 0 && read(socket, &pid, sizeof pid) != sizeof pid) die("the keeper");
    kill(pid, SIGKILL);
    close(in[1]);
    while (read(out[0], &(char){0}, 1) > 0) {
    }
    close(out[0]);
    close(err[0]);
    if (socket < 0) waitpid(pid, NULL, 0);
    return took;
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv) {
    int starts = argc > 2 ? atoi(argv[2]) : 0;
    if (starts < 1) {
        fprintf(stderr, "usage: trip PROGRAM STARTS\n");
        return 2;
    }
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) die("socketpair");
    pid_t server = fork();
    if (server < 0) die("fork");
    if (server == 0) {
        close(pair[0]);
        keeper(pair[1], argv[1]);
    }
    close(pair[1]);
    double *took[3];
    for (int way = 0; way < 3; way++) {
        took[way] = calloc(starts, sizeof(double));
        if (!took[way]) die("calloc");
    }
    for (int i = 0; i < starts; i++) {
        took[0][i] = one(argv[1], -1, 0);
        took[1][i] = one(argv[1], pair[0], 0);
        took[2][i] = one(argv[1], pair[0], 1);
    }
    const char *names[3] = {"direct", "kept", "probed"};
    for (int way = 0; way < 3; way++) {
        qsort(took[way], starts, sizeof(double), by_size);
        printf("%s p50=%.3fms\n", names[way], took[way][starts / 2]);
    }
    return 0;
}
