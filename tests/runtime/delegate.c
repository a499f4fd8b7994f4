/* A TFLite delegate that takes no operator over, and does what its option "mode" says.

   The two functions are those of external_delegate_interface.h, the structure is TfLiteDelegate of
   core/c/common.h, both of TensorFlow Lite 2.14 and of LiteRT. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct delegate {
  void *data;
  int (*prepare)(void *context, struct delegate *self);
  void *copy_from, *copy_to, *free_handle;
  int64_t flags;
  void *builder;
};

static const char *mode = "good", *journal = NULL;

static void note(const char *what) {
  if (journal != NULL) {
    FILE *file = fopen(journal, "a");
    fprintf(file, "%d %s\n", (int)getpid(), what);
    fclose(file);
  }
}

static void act(const char *when) {
  note(when);
  if (strncmp(mode, when, strlen(when)) != 0) return;
  const char *how = mode + strlen(when);
  if (strcmp(how, "-crash") == 0) *(volatile int *)0 = 1;
  if (strcmp(how, "-abort") == 0) {
    fprintf(stderr, "device is on fire\n");
    abort();
  }
  if (strcmp(how, "-hang") == 0) sleep(600);
  if (strcmp(how, "-noise") == 0) printf("[\"result\", 7]\n"), fflush(stdout);
}

static int prepare(void *context, struct delegate *self) {
  act("prepare");
  return strcmp(mode, "prepare-fail") == 0 ? 1 : 0;
}

struct delegate *tflite_plugin_create_delegate(char **keys, char **values, size_t count, void (*report)(const char *)) {
  for (size_t i = 0; i < count; i++) {
    if (strcmp(keys[i], "mode") == 0) mode = strdup(values[i]);
    if (strcmp(keys[i], "journal") == 0) journal = strdup(values[i]);
  }
  act("create");
  if (strcmp(mode, "refuse") == 0) {
    report("no device is\nplugged in");
    return NULL;
  }
  struct delegate *made = calloc(1, sizeof(struct delegate));
  made->prepare = prepare;
  return made;
}

void tflite_plugin_destroy_delegate(struct delegate *delegate) {
  act("destroy");
  free(delegate);
}
