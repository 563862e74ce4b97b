// A plugin in a language without an SDK, written from plugin-sdk/protocol alone: `count` says how many lines, words and
// bytes a text has. Build it with `cc -O2 -o wordcount wordcount.c`.
//
// One call at a time, and the order of answers is that of the questions. Every line is read whole; nothing is copied but
// the text that is counted. Nothing prints to standard output but `answer` and `refuse`.

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NO_METHOD = -32601, BAD_PARAMS = -32602, STOPPING = -31008, NO_VERSION = -31010 };

// A piece of JSON text as it came. `from` is NULL where there is none.
struct piece {
    const char *from, *to;
};

static const char *blank(const char *at, const char *end) {
    while (at < end && isspace((unsigned char)*at)) at++;
    return at;
}

// The place behind the string that begins here, or NULL.
static const char *behind_string(const char *at, const char *end) {
    for (at++; at < end; at++) {
        if (*at == '\\') at++;
        else if (*at == '"') return at + 1;
    }
    return NULL;
}

// The place behind the value that begins here, or NULL: nesting is counted, and strings are passed over.
static const char *behind_value(const char *at, const char *end) {
    int depth = 0;
    do {
        if (at >= end) return NULL;
        if (*at == '"') {
            at = behind_string(at, end);
            if (!at) return NULL;
        } else if (*at == '{' || *at == '[') {
            depth++, at++;
        } else if (*at == '}' || *at == ']') {
            depth--, at++;
        } else if (depth == 0) {
            while (at < end && !strchr(",]} \t\r\n", *at)) at++;
        } else {
            at++;
        }
    } while (depth > 0);
    return at;
}

// The member of this name of the object that begins here. Names are compared as they are written.
static struct piece member(struct piece object, const char *name) {
    const struct piece none = {NULL, NULL};
    const char *at = object.from, *end = object.to;
    if (!at || at >= end || *at != '{') return none;
    at = blank(at + 1, end);
    while (at < end && *at == '"') {
        const char *key = at + 1, *value = behind_string(at, end);
        if (!value) return none;
        bool found = strlen(name) == (size_t)(value - 1 - key) && !strncmp(key, name, strlen(name));
        value = blank(value, end);
        if (value >= end || *value != ':') return none;
        value = blank(value + 1, end);
        at = value < end ? behind_value(value, end) : NULL;
        if (!at) return none;
        if (found) return (struct piece){value, at};
        at = blank(at, end);
        if (at < end && *at == ',') at = blank(at + 1, end);
    }
    return none;
}

static bool is(struct piece text, const char *word) {
    return text.from && (size_t)(text.to - text.from) == strlen(word) + 2 && text.from[0] == '"' &&
           !strncmp(text.from + 1, word, strlen(word));
}

static void answer(struct piece id, const char *result) {
    printf("{\"jsonrpc\":\"2.0\",\"id\":%.*s,\"result\":%s}\n", (int)(id.to - id.from), id.from, result);
    fflush(stdout);
}

static void refuse(struct piece id, int code, const char *message, const char *data) {
    printf("{\"jsonrpc\":\"2.0\",\"id\":%.*s,\"error\":{\"code\":%d,\"message\":\"%s\"%s%s}}\n",
           (int)(id.to - id.from), id.from, code, message, data ? ",\"data\":" : "", data ? data : "");
    fflush(stdout);
}

// Whether 1 is among the versions that the host offers.
static bool offered(struct piece versions) {
    const char *at = versions.from, *end = versions.to;
    if (!at || *at != '[') return false;
    for (at = blank(at + 1, end); at < end && *at != ']'; at = blank(at, end)) {
        const char *to = behind_value(at, end);
        if (!to) return false;
        if (to - at == 1 && *at == '1') return true;
        at = blank(to, end);
        if (at < end && *at == ',') at++;
    }
    return false;
}

// Bytes that the character U+`code` has in UTF-8; a half of a surrogate pair counts as half of four.
static int length(unsigned code) {
    if (code >= 0xd800 && code < 0xe000) return 2;
    return code < 0x80 ? 1 : code < 0x800 ? 2 : 3;
}

static void count(struct piece id, struct piece text) {
    if (!text.from || *text.from != '"') {
        refuse(id, BAD_PARAMS, "`text` has to be a string", NULL);
        return;
    }
    long lines = 0, words = 0, bytes = 0;
    bool inside = false;
    for (const char *at = text.from + 1; at < text.to - 1; at++) {
        unsigned char c = (unsigned char)*at;
        int size = 1;
        if (c == '\\') {
            c = (unsigned char)*++at;
            if (c == 'u') {
                char digits[5] = {0};
                memcpy(digits, at + 1, 4);
                unsigned code = (unsigned)strtoul(digits, NULL, 16);
                at += 4;
                size = length(code);
                c = code < 0x80 ? (unsigned char)code : 'x';
            } else {
                const char *names = "nrtbf", *values = "\n\r\t\b\f", *name = strchr(names, c);
                if (name) c = (unsigned char)values[name - names];
            }
        }
        bytes += size;
        if (c == '\n') lines++;
        if (isspace(c)) inside = false;
        else if (!inside) inside = true, words++;
    }
    char result[128];
    snprintf(result, sizeof result, "{\"lines\":%ld,\"words\":%ld,\"bytes\":%ld}", lines, words, bytes);
    answer(id, result);
}

int main(void) {
    char *line = NULL;
    size_t room = 0;
    ssize_t got;
    bool stopping = false;
    // The end of standard input is the end of the plugin.
    while ((got = getline(&line, &room, stdin)) > 0) {
        const char *end = line + got, *from = blank(line, end);
        const char *to = from < end && *from == '{' ? behind_value(from, end) : NULL;
        if (!to) continue; // no frame: not ours to judge
        struct piece frame = {from, to};
        struct piece id = member(frame, "id"), method = member(frame, "method");
        struct piece params = member(frame, "params");
        if (!method.from) continue; // an answer, and nothing was asked
        if (is(method, "exit")) break;
        if (!id.from) continue; // a notification: none of them is for us
        if (is(method, "initialize")) {
            if (offered(member(params, "protocolVersions")))
                answer(id, "{\"protocolVersion\":1,\"name\":\"wordcount\",\"version\":\"1.0.0\",\"concurrency\":1,"
                           "\"methods\":{\"count\":{\"description\":\"Lines, words and bytes of a text\","
                           "\"idempotent\":true,\"params\":{\"type\":\"object\",\"required\":[\"text\"],"
                           "\"properties\":{\"text\":{\"type\":\"string\"}}}}}}");
            else
                refuse(id, NO_VERSION, "only version 1 is spoken here", "{\"supported\":[1]}");
        } else if (is(method, "ping")) {
            answer(id, "{}");
        } else if (is(method, "shutdown")) {
            stopping = true;
            answer(id, "{}");
        } else if (!is(method, "count")) {
            refuse(id, NO_METHOD, "no such method", NULL);
        } else if (stopping) {
            refuse(id, STOPPING, "it is being stopped", NULL);
        } else {
            count(id, member(params, "text"));
        }
    }
    free(line);
    return 0;
}
