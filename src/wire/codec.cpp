// SPDX-License-Identifier: MIT
#include "wire/codec_p.h"

#include "wire/fieldtable_p.h"

namespace AmqpQt::Wire
{

Table Reader::table() noexcept
{
    const Table table{longString()};
    if (failed())
        return {};
    if (const char *error = checkTable(table.contents)) {
        fail(error);
        return {};
    }
    return table;
}

} // namespace AmqpQt::Wire
