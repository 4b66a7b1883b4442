/* Debian's Dovecot looks for its modules (TLS, GSSAPI) in /usr/lib/dovecot/modules, wherever it was
 * unpacked. Preloaded, this makes it look beside this library instead. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

static const char installed[] = "/usr/lib/dovecot/modules";

/* The same path in the folder where this library is: usr/lib/dovecot. */
static const char *beside(const char *path, char *buffer, size_t size)
{
	Dl_info here;
	const char *slash;

	if (path == NULL || strncmp(path, installed, strlen(installed)) != 0)
		return path;
	if (dladdr(installed, &here) == 0 || (slash = strrchr(here.dli_fname, '/')) == NULL)
		return path;
	snprintf(buffer, size, "%.*s/modules%s", (int)(slash - here.dli_fname), here.dli_fname,
		 path + strlen(installed));
	return buffer;
}

DIR *opendir(const char *path)
{
	char buffer[4096];
	DIR *(*next)(const char *) = (DIR *(*)(const char *))dlsym(RTLD_NEXT, "opendir");

	return next(beside(path, buffer, sizeof(buffer)));
}

void *dlopen(const char *path, int flags)
{
	char buffer[4096];
	void *(*next)(const char *, int) = (void *(*)(const char *, int))dlsym(RTLD_NEXT, "dlopen");

	return next(beside(path, buffer, sizeof(buffer)), flags);
}
