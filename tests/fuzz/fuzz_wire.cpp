// SPDX-License-Identifier: MIT
#include "wire/contentheader_p.h"
#include "wire/fieldtable_p.h"
#include "wire/methods_p.h"
#include "wire/trace_p.h"

#include <QtCore/qstring.h>

#include <cstdlib>

// Passes arbitrary bytes to the decoders. Accepted input must survive encoding and decoding again.

using namespace AmqpQt;
using namespace AmqpQt::Wire;

namespace
{

void require(bool condition)
{
    if (!condition)
        std::abort();
}

void fuzzTable(QByteArrayView contents)
{
    if (checkTable(contents))
        return;
    const Result<QByteArray> first = encodeTable(decodeTable(contents), u"fuzzed");
    if (!first) // NaN, or a timestamp far away
        return;
    require(!checkTable(*first));
    const Result<QByteArray> second = encodeTable(decodeTable(*first), u"fuzzed");
    require(second.has_value() && *second == *first);
}

void fuzzContentHeader(QByteArrayView payload)
{
    describeContentHeader(payload);
    ContentHeader header;
    if (!decodeContentHeader(payload, header))
        return;
    BasicProperties properties;
    const bool isWhole = !decodeProperties(header.properties, properties);
    require(header.undecodable || isWhole);
    // Decoded properties are encoded to the same bytes, except for flags that do not belong to a property.
    const QByteArray encoded = encodeProperties(properties);
    require(QByteArrayView(encoded).sliced(2) == header.properties.sliced(2, encoded.size() - 2));
    require(!isWhole || encoded.size() == header.properties.size());
}

void fuzzMethod(QByteArrayView payload)
{
    describeMethod(payload);
    Reader reader(payload);
    const MethodId id{reader.number<quint16>(), reader.number<quint16>()};
    visitMethod(id, reader.bytes(reader.remaining()), [&]<typename M>(const M &method) {
        const QByteArray first = encodePayload(method);
        M again;
        require(!decodeArguments(QByteArrayView(first).sliced(4), again));
        require(encodePayload(again) == first);
    });
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    const QByteArrayView bytes(reinterpret_cast<const char *>(data) + 1, qsizetype(size - 1));
    switch (*data % 3) { // the first byte chooses
    case 0:
        fuzzTable(bytes);
        break;
    case 1:
        fuzzContentHeader(bytes);
        break;
    case 2:
        fuzzMethod(bytes);
        break;
    }
    return 0;
}
