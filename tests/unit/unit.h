/* What every unit test includes: cmocka wants these four before its own header. */
#ifndef VOLFS_TESTS_UNIT_H
#define VOLFS_TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#endif
